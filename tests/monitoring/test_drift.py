"""The drift check: statistics against their definitions, verdicts on samples whose change is known, the command."""

import csv
import json
import logging
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fastflow.checkpoint import save_checkpoint
from fastflow.errors import BadData
from fastflow.files import file_sha256
from fastflow.model import FastFlow
from fastflow.sealed import write_threshold
from pipelines.core.params_edit import write_values
from pipelines.core.stage import exit_code
from pipelines.data.appearance import appearances, levels_of, read_photograph
from pipelines.monitoring import drift
from pipelines.monitoring.drift_page import render
from pipelines.monitoring.drift_rules import judge, shift, spread, stability_index
from pipelines.registry import store
from pipelines.registry.registered import WEIGHTS
from pipelines.scoring import score
from tests.conftest import ROOT, SIZE, shake, tiny_config, write_plates

THRESHOLD = 2.5  # of standard normal scores: 0.6 % lie above
Change = dict[str, float]


def sample(count: int, seed: int, **change: float) -> pd.DataFrame:
    """Good images whose figures are independent and normal; changed by what `change` adds to a column's mean."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "pred_score": rng.normal(size=count),
            "brightness": 100 + 5 * rng.normal(size=count),
            "contrast": 30 + 2 * rng.normal(size=count),
            "sharpness": np.exp(rng.normal(size=count) / 4),
            "width": 900,
            "height": 900,
        }
    )
    return table.assign(**{name: table[name] + value for name, value in change.items()})


def with_defects(count: int, seed: int, share: float) -> pd.DataFrame:
    """As many of them defective: a high score, and a look that is a little darker."""
    table = sample(count, seed)
    defective = np.random.default_rng(seed + 1).permutation(count) < share * count
    return table.assign(pred_score=table["pred_score"] + 6 * defective, brightness=table["brightness"] - 4 * defective)


def kind(recent: pd.DataFrame, *, usual_rejects: float = 0.05, least: int = 50, reference: int = 209) -> str:
    then = sample(reference, seed=999)
    return judge(recent, then, threshold=THRESHOLD, usual_rejects=usual_rejects, least=least).kind


@pytest.mark.parametrize("count", [60, 200, 1000])
def test_good_images_alarm_less_than_once_in_a_hundred_times(count: int) -> None:
    alarms = sum(kind(sample(count, seed), reference=300) != "same" for seed in range(200))
    assert alarms <= 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"brightness": 10.0}, "camera"),
        ({"contrast": -6.0}, "camera"),
        ({"sharpness": -0.8}, "camera"),
        ({"width": 100.0}, "camera"),
        ({"brightness": 10.0, "pred_score": 3.0}, "camera"),  # bad light is no defect, though it scores like one
        ({"pred_score": 2.0}, "scores"),
        ({"pred_score": -2.0}, "scores"),
    ],
    ids=str,
)
def test_a_strong_change_is_found_and_called_by_its_name(change: Change, expected: str) -> None:
    assert [kind(sample(100, seed, **change)) for seed in range(20)] == [expected] * 20


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_more_defects_are_told_from_a_new_camera(share: float) -> None:
    assert [kind(with_defects(200, seed, share)) for seed in range(20)] == ["defects"] * 20


def test_usual_rejects_are_no_alarm() -> None:
    assert [kind(with_defects(200, seed, 0.05)) for seed in range(20)] == ["same"] * 20
    assert kind(with_defects(200, 0, 0.2), usual_rejects=0.2) == "same"


def test_few_images_say_nothing_whatever_they_are() -> None:
    assert kind(sample(49, 0, brightness=100.0)) == "too_few"
    assert kind(sample(0, 0)) == "too_few"
    assert kind(sample(49, 0, brightness=100.0), least=40) == "camera"


def test_a_figure_that_never_varied_still_has_a_spread() -> None:
    assert spread(np.full(9, 4.0)) > 0
    assert kind(sample(100, 1).assign(contrast=30.0), reference=50) in ("same", "camera")


def test_stability_index_is_the_sum_over_deciles() -> None:
    rng = np.random.default_rng(0)
    then, now = rng.normal(size=1000), rng.normal(0.5, 1.3, size=400)
    edges = [-np.inf, *np.quantile(then, np.arange(1, 10) / 10), np.inf]
    p, q = ((np.histogram(values, edges)[0] + 0.5) / (len(values) + 5) for values in (now, then))
    assert stability_index(now, then) == pytest.approx(sum((p - q) * np.log(p / q)))
    assert stability_index(then, then) == 0


def test_distance_is_that_of_the_distribution_functions() -> None:
    now, then = sample(80, 1, brightness=3.0), sample(120, 2)
    grid = np.sort(np.concatenate([now["brightness"], then["brightness"]]))
    functions = [np.searchsorted(np.sort(t["brightness"]), grid, side="right") / len(t) for t in (now, then)]
    assert shift("brightness", now, then).ks == pytest.approx(np.abs(functions[0] - functions[1]).max())


def noise(size: int = 64) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    return rng.integers(60, 180, (size, size, 3), dtype=np.uint8)


def test_light_moves_brightness_and_contrast_but_not_sharpness() -> None:
    pixels = noise()
    brightness, contrast, sharpness = levels_of(pixels)
    dim = levels_of((pixels // 2).astype(np.uint8))
    assert dim[0] == pytest.approx(brightness / 2, rel=0.02)
    assert dim[1] == pytest.approx(contrast / 2, rel=0.02)
    assert dim[2] == pytest.approx(sharpness, rel=0.02)
    soft = levels_of(np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))))
    assert soft[2] < sharpness / 3
    assert levels_of(np.full((8, 8, 3), 7, np.uint8)) == (7, 0, 0)


def test_size_is_the_files_and_levels_are_those_of_the_models_input(tmp_path: Path) -> None:
    Image.fromarray(noise(80)).crop((0, 0, 80, 60)).save(tmp_path / "a.png")
    seen = read_photograph(tmp_path / "a.png", image_size=(32, 40))
    assert seen.pixels.shape == (32, 40, 3)
    assert seen.appearance[:2] == (80, 60)
    grey = np.asarray(Image.fromarray(seen.pixels).convert("L"), np.float64)
    assert seen.appearance.brightness == pytest.approx(grey.mean(), abs=0.6)
    assert seen.appearance.contrast == pytest.approx(grey.std(), abs=0.3)
    assert appearances([tmp_path / "a.png"] * 3, image_size=(32, 40)) == [seen.appearance] * 3


def test_page_says_what_changed_and_holds_hostile_names_as_text() -> None:
    recent, then = sample(100, 1, brightness=20.0), sample(200, 2)
    verdict = judge(recent, then, threshold=THRESHOLD, usual_rejects=0.05, least=50)
    text = render("<b>x</b>", verdict, recent, then, threshold=THRESHOLD, about={"from": "<i>y</i>"})
    assert "<b>x</b>" not in text
    assert "<i>y</i>" not in text
    assert "The photographs changed" in text
    assert "brightness rose" in text
    empty = judge(recent[:0], then, threshold=THRESHOLD, usual_rejects=0.05, least=50)
    assert "Too few images to tell" in render("x", empty, recent[:0], then, threshold=THRESHOLD, about={})


@pytest.fixture
def plates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint whose calibration saw 60 photographs, those photographs, and parameters."""
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
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
    seen = pd.DataFrame(appearances(sorted(photographs.iterdir()), image_size=(SIZE, SIZE)))
    table = json.dumps(seen.assign(pred_score=scores_of(model, photographs)).to_dict("list"))
    threshold = {"image": 1.0, "pixel": 1.0, "low": 0.1}
    files = {"normal_scores.json": table.encode()}
    save_checkpoint(model, folder / "models/plates", files=files, category="plates", threshold=threshold)
    return photographs


def scores_of(model: FastFlow, folder: Path) -> list[float]:
    save_checkpoint(model, Path("models/first"), category="plates", threshold={"image": 1, "pixel": 1, "low": 0})
    assert run(score, "--model", "first", folder, "--to", "first.csv") == 0
    with Path("first.csv").open(newline="") as file:
        return [float(row["pred_score"]) for row in csv.DictReader(file)]


def run(command: ModuleType, *arguments: object) -> int:
    """The command's exit code."""
    logging.getLogger().handlers.clear()  # as in a new process
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *map(str, arguments)])
        try:
            return exit_code(command.main)
        except SystemExit as ended:  # score ends by itself
            return int(str(ended.code))


def verdict_of() -> str:
    return str(json.loads(Path("drift/plates.json").read_text())["kind"])


def test_the_calibrations_own_photographs_are_the_same(plates: Path) -> None:
    assert run(drift, "--category", "plates", plates) == 0
    assert verdict_of() == "same"
    assert run(score, "--model", "plates", plates, "--to", "scores.jsonl") == 0
    assert run(drift, "--category", "plates", "scores.jsonl") == 0
    assert "As in calibration" in Path("drift/plates.html").read_text()


def test_darker_photographs_end_with_code_1_and_a_page(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in plates.iterdir():
        with Image.open(path) as image:
            image.point(lambda level: level * 0.6).save(path)
    assert run(drift, "--category", "plates", plates) == 1
    assert verdict_of() == "camera"
    told = "".join(capsys.readouterr())
    assert told.count("brightness fell") == 1
    assert "alarm: plates: the camera" in told
    written = "".join(path.read_text() for path in Path(".mlflow/journal").rglob("journal.jsonl"))
    assert '"drift": "camera"' in written
    assert "brightness_ks" in written


def test_what_cannot_be_judged_is_refused(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(drift, "--category", "plates") == 2
    assert run(drift, "--category", "first", "--model", "first", plates) == 3
    other = FastFlow(tiny_config())
    shake(other.flows, scale=0.03)
    save_checkpoint(other, Path("models/other"), category="plates", threshold={"image": 1, "pixel": 1, "low": 0})
    assert run(score, "--model", "other", plates, "--to", "other.csv") == 0
    assert run(drift, "--category", "plates", "other.csv") == 3
    assert "anew: fastflow score FOLDER --model plates --to other-new.csv" in capsys.readouterr().err
    client = store.connect()
    client.create_registered_model("fastflow-plates")
    tags = {WEIGHTS: file_sha256(Path("models/other/flow.safetensors"))}
    client.create_model_version("fastflow-plates", str(Path("models/other").resolve()), tags=tags)
    assert run(drift, "--category", "plates", "other.csv") == 3
    assert "with that one, --model models:/fastflow-plates/1, or score" in capsys.readouterr().err
    Path("notes.csv").write_text("monday,rain\n")
    assert run(drift, "--category", "plates", "notes.csv") == 3
    assert "notes.csv is no file of pipelines.scoring.score" in capsys.readouterr().err
    assert run(drift, "--category", "plates", "nowhere.csv") == 2
    set_recent("incoming/{category}")
    Path("incoming/plates").mkdir(parents=True)
    assert run(drift, "--category", "plates") == 0  # nothing has come in yet
    assert "nothing is recent" in capsys.readouterr().out


def test_a_version_knows_the_scores_of_its_folder_and_of_its_exports(plates: Path) -> None:
    """What models/plates scored is a registered version's tomorrow, when another model has taken its place."""
    assert run(score, "--model", "plates", plates, "--to", "scores.csv") == 0
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
    assert run(drift, "--category", "plates") == 0
    assert verdict_of() == "same"
    assert "1 of 60 images could not be read" in capsys.readouterr().out


def test_a_threshold_that_was_changed_since_is_told(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(score, "--model", "plates", plates, "--to", "scores.csv") == 0
    scores = pd.read_csv("scores.csv")["pred_score"]
    run(drift, "--category", "plates", "scores.csv")
    assert "plates: 60 images, 0 rejected\n" in capsys.readouterr().out
    new = float(scores.quantile(0.5))
    write_threshold(Path("models/plates"), {"image": new, "pixel": 1.0, "low": 0.1})
    run(drift, "--category", "plates", "scores.csv")
    told = f"60 images, {(scores > new).sum()} rejected, 0 at the threshold they were scored with"
    assert told in capsys.readouterr().out


def test_only_the_newest_count(plates: Path) -> None:
    write_values({"drift.last": 55})
    assert run(drift, "--category", "plates", plates) == 0
    assert json.loads(Path("drift/plates.json").read_text())["images"] == 55
    assert run(score, "--model", "plates", plates, "--to", "scores.csv") == 0
    assert run(drift, "--category", "plates", "scores.csv") == 0
    assert json.loads(Path("drift/plates.json").read_text())["images"] == 55
