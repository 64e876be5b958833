"""What the training settled of pixels stays with the model: every program that scores with it reads files alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fastflow import api
from fastflow.checkpoint import save_checkpoint
from fastflow.export.about import ABOUT, write_about
from fastflow.export.runner import ExportedDetector
from fastflow.frame import read_framed
from fastflow.model import FastFlow
from fastflow.pixels.meaning import PLAIN, PixelRule
from fastflow.sealed import CONFIG, FLOW, read_config, sealed
from fastflow.trained import TrainedDetector
from pipelines.core.params_edit import write_values
from pipelines.registry.served_model import load_served
from pipelines.serving.uploads import decode
from tests.conftest import THRESHOLD, draw_square, tiny_config
from tests.stages import STAGE_NAMES, run, write_tiny_params
from tests.stages import project as project  # the fixture

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "weights": "random",
    "epochs": 1,
    "image_size": (64, 64),
    "folds": None,
}
KINDS = ("eight", "twelve", "unset")


def write_kinds(folder: Path, number: int) -> None:
    """One picture three times: grey of 8 bits, the same of 12 bits in 16, and as colours whose alpha nobody set."""
    grey = np.asarray(Image.fromarray(draw_square(seed=number, defect=number > 5)[0]).convert("L")).copy()
    grey[0, number] = 255
    made = {
        "eight": Image.fromarray(grey),
        "twelve": Image.fromarray(np.rint(grey / 255 * 4095).astype(np.uint16)),
        "unset": Image.fromarray(np.dstack([grey, grey, grey, 0 * grey])),
    }
    for kind, image in made.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        image.save(folder / kind / f"{number}.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for number in range(8):
        write_kinds(folder, number)
    return folder


def test_equal_pictures_give_equal_models_however_their_files_hold_them(images: Path, tmp_path: Path) -> None:
    scores, weights = [], set()
    for kind in KINDS:
        detector = api.fit([images / kind / f"{number}.png" for number in range(6)], **SMALL)
        detector.save(tmp_path / kind)
        again = api.load(tmp_path / kind)
        assert again.frame == detector.frame
        scores.append(api.predict(again, images / kind).table["pred_score"].to_numpy())
        weights.add(read_config(tmp_path / kind)["sha256"][FLOW])
    assert read_config(tmp_path / "twelve")["model"]["value_range"] == [0, 4095]
    assert len(weights) == 1
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[0], scores[2])
    others = api.predict(api.load(tmp_path / "twelve"), images / "eight")  # of 8 bits white is what it is
    assert np.array_equal(others.table["pred_score"], scores[0])


def test_server_registry_and_export_read_as_the_training_did(images: Path, tmp_path: Path) -> None:
    paths = [images / "twelve" / f"{number}.png" for number in range(8)]
    detector = api.fit(paths[:6], **SMALL)
    detector.save(tmp_path / "part")
    expected = read_framed(images / "eight/7.png", detector.frame).pixels
    assert expected.max() > 200
    assert np.array_equal(decode(paths[7].read_bytes(), detector.frame, 10**6).pixels, expected)
    served = load_served(tmp_path / "part").predict(pd.DataFrame({"image": [paths[7].read_bytes()]}))
    assert served["pred_score"].to_list() == api.predict(detector, [paths[7]]).table["pred_score"].to_list()
    (folder := tmp_path / "exported").mkdir()
    named: dict[str, Any] = {"runtime": "onnx", "precision": "fp32", "category": "part", "model": "x"}
    write_about(folder, frame=detector.frame, threshold=detector.threshold, **named)
    exported = ExportedDetector(run=detector.predict, about=json.loads((folder / ABOUT).read_text()))
    assert exported.frame == detector.frame
    assert exported.frame.rule == PixelRule((0, 4095))
    assert np.array_equal(read_framed(paths[7], exported.frame).pixels, expected)


def test_models_and_exports_of_before_read_files_as_before(images: Path, tmp_path: Path) -> None:
    model = FastFlow(tiny_config(decoding=2, value_range=(0.0, 4095.0)))
    save_checkpoint(model, tmp_path / "old", threshold=THRESHOLD)
    config = read_config(tmp_path / "old")
    for field in ("decoding", "value_range", "page"):
        del config["model"][field]
    (tmp_path / "old" / CONFIG).write_text(sealed(config))
    old = TrainedDetector.load(tmp_path / "old")
    assert old.frame.rule == PLAIN
    assert read_framed(images / "unset/0.png", old.frame).pixels.max() == 0
    assert read_framed(images / "twelve/0.png", old.frame).pixels.max() == 16
    loaded = old.model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
    about = {"image_size": [64, 64], "grid": 8, "threshold": THRESHOLD}
    assert ExportedDetector(run=old.predict, about=about).frame.rule == PLAIN


@pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
def test_the_stages_hand_on_what_params_yaml_says(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (project / "images/plates").glob("t*/*/*.png"):
        grey = np.asarray(Image.open(path).convert("L"))
        Image.fromarray(np.rint(grey / 255 * 4095).astype(np.uint16)).save(path)
    settled = {}
    for said in ({}, {"plates": {"value_range": [0, 8190]}}):
        write_tiny_params(project, epochs=1)
        write_values({"pixels": said})
        assert [run(stage, monkeypatch) for stage in STAGE_NAMES] == [0, 0, 0]
        settled[len(said)] = read_config(project / "models/plates")["model"]["value_range"]
    assert settled == {0: [0, 4095], 1: [0, 8190]}
    pictures = [np.asarray(Image.open(path)) for path in (project / "reports/plates/pictures").glob("*_image.webp")]
    assert pictures
    highest = [int(picture.max()) for picture in pictures]  # half of white, as the model sees them
    assert max(highest) > 100  # the defects' squares: half of 230
    assert max(highest) <= 132
