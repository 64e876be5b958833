"""Scoring photographs from the command line, by a small model of this test."""

import csv
import io
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.errors import BadData
from fastflow.files import file_sha256
from fastflow.model import FastFlow
from fastflow.sealed import read_config, write_threshold
from pipelines.registry.detectors import open_detector
from pipelines.scoring.results_file import ResultsFile
from pipelines.scoring.rows import Row
from tests.conftest import SIZE, fastflow, shake, tiny_config, write_plates

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def plates(folder: Path) -> Path:
    """A checkpoint of the category, and photographs."""
    model = FastFlow(tiny_config())
    shake(model.flows, scale=0.02)
    threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
    save_checkpoint(model, folder / "models/plates", category="plates", threshold=threshold)
    return write_plates(folder / "plates")


def run(*arguments: object) -> int:
    logging.getLogger().handlers.clear()  # as in a new process
    return fastflow("score", *arguments)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_image_has_the_checkpoints_score(plates: Path) -> None:
    assert run("--model", "plates", plates / "test", "--to", "scores.csv", "--batch-size", 3) == 0
    found = rows(Path("scores.csv"))
    assert [row["path"] for row in found] == sorted(map(str, (plates / "test").rglob("*.png")))
    model = load_checkpoint(Path("models/plates"))
    for row in found:
        with Image.open(row["path"]) as image:
            pixels = np.asarray(image)
        assert float(row["pred_score"]) == pytest.approx(single(model, pixels), rel=1e-5)
        assert row["pred_label"] == str(int(float(row["pred_score"]) > 0.5))
        assert (row["threshold"], row["model"]) == ("0.5", open_detector("plates").version)


def single(model: FastFlow, pixels: NDArray[np.uint8]) -> float:
    return float(model(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]).pred_score)


def test_results_on_stdout_are_results_alone(
    plates: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = "\n".join(map(str, (plates / "test/good").glob("*.png")))
    monkeypatch.setattr(sys, "stdin", io.StringIO(listed + "\n"))
    assert run("--model", "plates", "-") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join(Row._fields)
    assert len(lines) == 5


def test_an_interrupted_file_is_gone_on_with(plates: Path) -> None:
    command = ("--model", "plates", plates / "test", "--to", "scores.jsonl")
    assert run(*command) == 0
    whole = Path("scores.jsonl").read_text()
    lines = whole.splitlines(keepends=True)
    Path("scores.jsonl").write_text("".join(lines[:3]) + lines[3][:20])  # killed in the middle of a line
    assert run(*command) == 0
    again = [json.loads(line) for line in Path("scores.jsonl").read_text().splitlines()]
    assert [row["path"] for row in again] == [json.loads(line)["path"] for line in lines]
    assert Path("scores.jsonl").read_text().startswith("".join(lines[:3]))


def test_a_file_that_holds_other_images_too_says_so(plates: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "plates", plates / "test/good", "--to", "scores.csv") == 0
    assert "not named now" not in "".join(capfd.readouterr())
    assert run("--model", "plates", plates / "test/square", "--to", "scores.csv") == 0
    assert "scores.csv also holds 4 images that were not named now" in "".join(capfd.readouterr())


def test_scores_of_two_models_are_not_mixed(plates: Path) -> None:
    with ResultsFile(Path("scores.csv"), version="another") as results:
        results.add([Row("a.png", 0.1, 0, 0.5, "another", 1.0, 4, 3, 90.0, 20.0, 0.5, "f00d")])
    assert run("--model", "plates", plates / "test", "--to", "scores.csv") == 3


@pytest.mark.parametrize("name", ["notes.csv", "notes.txt", "notes.jsonl"])
@pytest.mark.parametrize(
    "text",
    ["monday,rain\ntuesday,sun\n", "buy milk\nthe only copy", "one line", "one line\n", "{}\n", "[1]\n{\n", "\n"],
)
def test_what_is_no_score_file_is_refused_and_left_as_it_is(plates: Path, name: str, text: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(BadData, match=f"{name} is no file of scores; it is left as it is"):
        ResultsFile(Path(name), version="x").__enter__()
    assert Path(name).read_text() == text


@pytest.mark.parametrize("name", ["scores.csv", "scores.jsonl"])
def test_a_file_whose_writer_was_killed_at_any_byte_is_gone_on_with(plates: Path, name: str) -> None:
    row = Row("a.png", 0.1, 0, 0.5, "x", 1.0, 4, 3, 90.0, 20.0, 0.5, "f00d")
    with ResultsFile(Path(name), version="x", threshold=0.5) as results:
        results.add([row])
    whole = Path(name).read_bytes()
    for end in range(len(whole)):
        Path(name).write_bytes(whole[:end])
        with ResultsFile(Path(name), version="x", threshold=0.5) as results:
            assert not results.done
            results.add([row])
        assert Path(name).read_bytes() == whole


def test_verdicts_at_two_thresholds_are_not_mixed(plates: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ("--model", "plates", plates / "test", "--to", "scores.csv")
    assert run(*command) == 0
    before = Path("scores.csv").read_bytes()
    capfd.readouterr()
    assert run(*command) == 0
    rejected = sum(int(row["pred_label"]) for row in rows(Path("scores.csv")))
    assert f"8 of 8 images are in scores.csv already, {rejected} rejected in all" in "".join(capfd.readouterr())
    write_threshold(Path("models/plates"), read_config(Path("models/plates"))["threshold"] | {"image": 0.25})
    assert run(*command) == 3
    assert "scores with the threshold 0.5, not 0.25: remove it, or name another" in capfd.readouterr().err
    assert Path("scores.csv").read_bytes() == before


def test_unreadable_images_are_listed_and_all_others_scored(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plates / "test/good/000.png").write_bytes(b"no image")
    truncated = plates / "test/good/001.png"
    truncated.write_bytes(truncated.read_bytes()[:200])
    assert run("--model", "plates", plates / "test", "--to", "scores.csv") == 3
    assert len(rows(Path("scores.csv"))) == 6
    said = capsys.readouterr().err
    assert "2 of 8 images could not be scored, all others are:" in said
    assert "000.png" in said
    assert "001.png" in said


def test_overlays_colour_equal_scores_equally(plates: Path) -> None:
    assert run("--model", "plates", plates / "test", "--to", "scores.csv", "--overlays", "seen") == 0
    pictures = sorted(Path("seen").iterdir())
    assert len(pictures) == 8
    with Image.open(pictures[0]) as picture:
        assert picture.size == (SIZE, SIZE)
    Image.open(plates / "test/good/000.png").save("a.jpg")
    assert run("--model", "plates", "a.jpg", "--to", "one.csv", "--overlays", "one") == 0
    assert [path.name for path in Path("one").iterdir()] == [f"a-{file_sha256(Path('a.jpg'))[:12]}.jpg"]


def test_names_that_lead_nowhere_are_refused(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "plates", "nowhere") == 2
    Path("empty").mkdir()
    assert run("--model", "plates", "empty") == 2
    assert run("--model", "spoons", plates) == 2
    assert run("--model", "plate", plates) == 2
    assert "which has plates; did you mean 'plates'?; train it" in capsys.readouterr().err
    assert run("--model", "models:/other", plates) == 2
