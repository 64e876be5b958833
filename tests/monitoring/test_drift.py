"""The drift check as a person calls it, on photographs that a model's calibration saw, and on others."""

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fastflow.checkpoint import save_checkpoint
from fastflow.errors import BadData
from fastflow.frame import Frame
from fastflow.model import FastFlow
from fastflow.sealed import read_config, weights_id, write_threshold
from pipelines.core.params_edit import write_values
from pipelines.core.paths import MODEL_ID
from pipelines.data.appearance import appearances
from pipelines.monitoring import drift
from pipelines.registry import store
from tests.conftest import ROOT, SIZE, fastflow, shake, tiny_config, write_plates


@pytest.fixture
def plates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint whose calibration saw 60 photographs, those photographs, and parameters."""
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_values({"data.root": "images", "data.categories": ["plates"]})
    plates = write_plates(folder / "plates")
    model = FastFlow(tiny_config())
    shake(model.flows, scale=0.02)
    photographs = folder / "photographs"
    photographs.mkdir()
    rng = np.random.default_rng(0)
    for number in range(60):
        with Image.open(plates / "train/good/000.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(np.float64)
        pixels = (pixels + rng.normal(0, 4) + rng.normal(0, 3, pixels.shape)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(photographs / f"{number:03}.png")
    seen = pd.DataFrame(appearances(sorted(photographs.iterdir()), Frame(SIZE, SIZE)))
    table = json.dumps(seen.assign(pred_score=scores_of(model, photographs)).to_dict("list"))
    threshold = {"image": 1.0, "pixel": 1.0, "low": 0.1}
    files = {"normal_scores.json": table.encode()}
    save_checkpoint(model, folder / "models/plates", files=files, category="plates", threshold=threshold)
    return photographs


def scores_of(model: FastFlow, folder: Path) -> list[float]:
    save_checkpoint(model, Path("models/first"), category="plates", threshold={"image": 1, "pixel": 1, "low": 0})
    assert run("score", "--model", "first", folder, "--to", "first.csv") == 0
    with Path("first.csv").open(newline="") as file:
        return [float(row["pred_score"]) for row in csv.DictReader(file)]


def run(*words: object) -> int:
    """The command's exit code."""
    logging.getLogger().handlers.clear()  # as in a new process
    return fastflow(*words)


def verdict_of() -> str:
    return str(json.loads(Path("drift/plates.json").read_text())["kind"])


def test_the_calibrations_own_photographs_are_the_same(plates: Path) -> None:
    assert run("drift", "plates", plates) == 0
    assert verdict_of() == "same"
    assert run("score", "--model", "plates", plates, "--to", "scores.jsonl") == 0
    assert run("drift", "plates", "scores.jsonl") == 0
    assert "As in calibration" in Path("drift/plates.html").read_text()


def test_darker_photographs_end_with_code_1_and_a_page(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in plates.iterdir():
        with Image.open(path) as image:
            image.point(lambda level: level * 0.6).save(path)
    assert run("drift", "plates", plates) == 1
    assert verdict_of() == "camera"
    output = "".join(capsys.readouterr())
    assert output.count("brightness fell") == 1
    assert "alarm: plates: the camera" in output
    written = "".join(path.read_text() for path in Path(".mlflow/journal").rglob("journal.jsonl"))
    assert '"drift": "camera"' in written
    assert "brightness_ks" in written


def test_what_cannot_be_judged_is_refused(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("drift", "plates") == 2
    assert run("drift", "plates", plates, "--model", "first") == 3
    other = FastFlow(tiny_config())
    shake(other.flows, scale=0.03)
    save_checkpoint(other, Path("models/other"), category="plates", threshold={"image": 1, "pixel": 1, "low": 0})
    assert run("score", "--model", "other", plates, "--to", "other.csv") == 0
    assert run("drift", "plates", "other.csv") == 3
    assert "anew: fastflow score FOLDER --model plates --to other-new.csv" in capsys.readouterr().err
    client = store.connect()
    client.create_registered_model("fastflow-plates")
    tags = {MODEL_ID: weights_id(read_config(Path("models/other")))}
    client.create_model_version("fastflow-plates", str(Path("models/other").resolve()), tags=tags)
    assert run("drift", "plates", "other.csv") == 3
    assert "with that one, --model models:/fastflow-plates/1, or score" in capsys.readouterr().err
    Path("notes.csv").write_text("monday,rain\n")
    assert run("drift", "plates", "notes.csv") == 3
    assert "notes.csv is no file of scores" in capsys.readouterr().err
    assert run("drift", "plates", "nowhere.csv") == 2
    set_recent("incoming/{category}")
    Path("incoming/plates").mkdir(parents=True)
    assert run("drift", "plates") == 0  # nothing has come in yet
    assert "no recent images" in capsys.readouterr().err


def test_a_version_knows_the_scores_of_its_folder_and_of_its_exports(plates: Path) -> None:
    """What models/plates scored is a registered version's tomorrow, when another model has taken its place."""
    assert run("score", "--model", "plates", plates, "--to", "scores.csv") == 0
    table = pd.read_csv("scores.csv")
    weights = str(table["model"][0])
    then = drift.reference_of("plates")
    assert then.weights == then.version == weights
    later = then._replace(version="fastflow-plates/2")
    for signed in (weights, f"{weights} onnx-fp32", "fastflow-plates/2", "fastflow-plates/2 openvino-int8"):
        table.assign(model=signed).to_csv("signed.csv", index=False)
        assert len(drift.read_scores(Path("signed.csv"), later)) == len(table)
    for signed in ("fastflow-plates/20", f"{weights}0"):
        table.assign(model=signed).to_csv("signed.csv", index=False)
        with pytest.raises(BadData, match="holds scores of"):
            drift.read_scores(Path("signed.csv"), later)


def set_recent(place: str) -> None:
    write_values({"drift.recent": place})


def test_an_unreadable_photograph_stops_no_check(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plates / "000.png").write_bytes(b"no image")
    set_recent("{category}graphs")
    plates.rename("platesgraphs")
    assert run("drift", "plates") == 0
    assert verdict_of() == "same"
    assert "1 of 60 images could not be scored" in capsys.readouterr().err


def test_a_threshold_that_was_changed_since_is_reported(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", "--model", "plates", plates, "--to", "scores.csv") == 0
    scores = pd.read_csv("scores.csv")["pred_score"]
    run("drift", "plates", "scores.csv")
    assert "plates: 60 images, 0 rejected\n" in capsys.readouterr().err
    new = float(scores.quantile(0.5))
    write_threshold(Path("models/plates"), {"image": new, "pixel": 1.0, "low": 0.1})
    run("drift", "plates", "scores.csv")
    output = f"60 images, {(scores > new).sum()} rejected, 0 at the threshold they were scored with"
    assert output in capsys.readouterr().err


def test_only_the_newest_count(plates: Path) -> None:
    write_values({"drift.last": 55})
    assert run("drift", "plates", plates) == 0
    assert json.loads(Path("drift/plates.json").read_text())["images"] == 55
    assert run("score", "--model", "plates", plates, "--to", "scores.csv") == 0
    assert run("drift", "plates", "scores.csv") == 0
    assert json.loads(Path("drift/plates.json").read_text())["images"] == 55
