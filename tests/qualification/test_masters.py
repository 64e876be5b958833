"""`fastflow masters` as a person calls it, on drawn plates."""

import json
import re
from datetime import timedelta
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image

from fastflow.detector import Scores
from fastflow.files import file_sha256
from fastflow.sealed import read_config, weights_id, write_threshold
from fastflow.trained import TrainedDetector
from pipelines.qualification.line_model import model_of_the_line
from pipelines.qualification.masters_record import MastersCheck, history_file, read_history, read_last
from pipelines.qualification.masters_store import folder_of, read_masters
from pipelines.registry import aliases, store
from pipelines.tracking.sync import sync
from tests.conftest import draw_square, fastflow
from tests.qualification.kit import MODEL
from tests.qualification.test_repeatability import CLEAR
from tests.registry.kit import register

PAGE = Path("masters/plates.html")
BLIND = CLEAR | {"image": 5.0}  # accepts everything


def write_plates_of(folder: Path, names: list[str], *, defect: bool, shot: int = 0) -> None:
    """A photograph of each plate: `shot` is the noise of the camera that day."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels, _ = draw_square(seed=sum(map(ord, name)), defect=defect)
        seen = (pixels + np.random.default_rng(shot).normal(0, 1, pixels.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(seen).save(folder / f"{name}.png")


def write_today(folder: Path, *, shot: int) -> Path:
    write_plates_of(folder, ["good-a", "good-b"], defect=False, shot=shot)
    write_plates_of(folder, ["scratched"], defect=True, shot=shot)
    return folder


def add_parts(project: Path) -> None:
    write_plates_of(project / "good", ["good-a", "good-b"], defect=False)
    write_plates_of(project / "bad", ["scratched"], defect=True)
    assert fastflow("masters", "plates", "add", "good", "--expect", "good") == 0
    assert fastflow("masters", "plates", "add", "bad", "--expect", "defect") == 0


@pytest.fixture
def masters(project: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Two good master parts and a defective one, of a model that tells them apart."""
    write_threshold(MODEL, CLEAR)
    add_parts(project)
    capsys.readouterr()
    return project


def journals() -> str:
    return "".join(path.read_text() for path in Path(".mlflow/journal").glob("*/journal.jsonl"))


def test_parts_are_known_by_their_content(
    masters: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (masters / "good/good-a.png").rename(masters / "good/renamed.png")
    assert fastflow("masters", "plates", "add", "good", "--expect", "good") == 0
    said = capsys.readouterr().out
    assert "0 photographs added, 2 there already; plates has 3 master parts: 2 good, 1 defective" in said
    assert "good/renamed.png is stored already, as part good-a: no part was added" in caplog.text
    for one in read_masters("plates"):
        assert file_sha256(folder_of("plates") / one.file) == one.sha256
    (masters / "good/good-b.png").unlink()
    assert fastflow("masters", "plates", "add", "good", "--expect", "defect") == 3
    assert "good/renamed.png: good-a is a master part that is expected to be good" in capsys.readouterr().err
    assert fastflow("masters", "plates", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["part"], one["expect"]) for one in listed["masters"]] == [
        ("good-a", "good"), ("good-b", "good"), ("scratched", "defect"),
    ]  # fmt: skip
    assert listed["last_check"] is None


def test_the_right_verdicts_and_then_wrong_ones(masters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("masters", "plates", "check") == 0
    assert "all 3 master parts got their known verdict" in capsys.readouterr().out
    write_threshold(MODEL, BLIND)
    assert fastflow("masters", "plates", "check", write_today(masters / "today", shot=1), "--json") == 1
    said = capsys.readouterr()
    assert "alarm: plates: 1 of 3 master parts got the wrong verdict: scratched; do not start the shift" in said.err
    found = MastersCheck.model_validate_json(said.out)
    assert found == read_last("plates") == read_history("plates")[-1]
    assert (found.wrong, found.new_photographs, len(read_history("plates"))) == (["scratched"], True, 2)
    assert found.margin == pytest.approx(max(s.pred_score for s in found.shots) - 5.0)
    page = PAGE.read_text()
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"https?:|@import|url\(", page)
    assert "Do not start the shift" in page
    assert "accepted, must be rejected" in page
    assert page.count("<img ") == 2 * 3
    assert '"masters_wrong": 1.0' in journals()
    assert '"masters_wrong": 0.0' in journals()
    assert fastflow("masters", "plates") == 0
    assert "1 of 3 master parts got the wrong verdict" in capsys.readouterr().out


def test_one_wrong_shot_of_a_part_is_enough(masters: Path) -> None:
    today = write_today(masters / "today", shot=1)
    (today / "good-a").mkdir()
    (today / "good-a.png").rename(today / "good-a/first.png")
    write_plates_of(today / "other", ["second"], defect=True, shot=5)
    (today / "other/second.png").rename(today / "good-a/second.png")
    (today / "other").rmdir()
    assert fastflow("masters", "plates", "check", today) == 1
    last = read_last("plates")
    assert last
    assert (last.wrong, last.parts) == (["good-a"], ["good-a", "good-b", "scratched"])


def test_photographs_that_are_none_of_today(masters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("masters", "plates", "check", "good") == 3
    assert "good/good-a.png is a stored photograph of good-a, not a new one" in capsys.readouterr().err
    today = write_today(masters / "today", shot=1)
    (today / "good-b.png").rename(today / "god-b.png")
    assert fastflow("masters", "plates", "check", today) == 3
    assert "no master part 'god-b'" in capsys.readouterr().err
    (today / "god-b.png").unlink()
    assert fastflow("masters", "plates", "check", today) == 3
    assert "no photograph of good-b" in capsys.readouterr().err
    assert read_last("plates") is None


def test_yesterdays_photographs_are_refused_and_an_hours_old_ones_are_not(
    masters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = write_today(masters / "today", shot=1)
    assert fastflow("masters", "plates", "check", today) == 0
    (first,) = read_history("plates")
    for hours, code in ((23, 0), (25, 3)):
        earlier = first.time - timedelta(hours=hours)
        history_file("plates").write_text(first.model_copy(update={"time": earlier}).model_dump_json() + "\n")
        assert fastflow("masters", "plates", "check", today) == code
        last = read_last("plates")
        assert last
        assert last.since == first.time - timedelta(hours=23)
    assert "more than 24 hours ago" in capsys.readouterr().err


def test_what_makes_a_check_impossible(masters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("masters", "plates", "remove", "scratchd") == 2
    assert "did you mean 'scratched'?" in capsys.readouterr().err
    assert fastflow("masters", "plates", "remove", "scratched") == 0
    assert not list(folder_of("plates").rglob("scratched*"))
    assert fastflow("masters", "plates", "check") == 3
    assert "plates has no defective master part; a check needs both kinds" in capsys.readouterr().err
    (stored,) = folder_of("plates").glob("good/good-a-*.png")
    assert fastflow("masters", "plates", "add", "bad", "--expect", "defect") == 0
    stored.write_bytes((masters / "bad/scratched.png").read_bytes())
    assert fastflow("masters", "plates", "check") == 3
    assert "is not the photograph that was added" in capsys.readouterr().err
    (folder_of("plates") / "masters.json").write_text('{"format": 1, "masters": [{"part": 3}]}')
    assert fastflow("masters", "plates") == 3
    assert "masters.json is damaged: masters.0.part is 3" in capsys.readouterr().err


def test_a_score_that_is_no_number_is_no_check(
    masters: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(_: TrainedDetector, images: np.ndarray, sizes: object = None) -> Scores:
        found = np.full(len(images), np.nan, np.float32)
        return Scores(found, np.ones(len(images), np.int64), np.zeros((len(images), 1, 64, 64), np.float32))

    monkeypatch.setattr(TrainedDetector, "predict", predict)
    assert fastflow("masters", "plates", "check") == 3
    assert "which is no verdict" in capsys.readouterr().err
    assert read_last("plates") is None


@pytest.mark.parametrize(
    "words", [("add", "x"), ("add", "--expect", "good"), ("check", "--expect", "good"), ("remove",), ("paint", "x")]
)
def test_words_that_cannot_be(masters: Path, words: tuple[str, ...]) -> None:
    assert fastflow("masters", "plates", *words) == 2


def test_a_part_that_the_model_was_trained_on_is_named(
    masters: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (masters / "trained").mkdir()
    image = masters / "images/plates/train/good/000.png"
    (masters / "trained/easy.png").write_bytes(image.read_bytes())
    assert fastflow("masters", "plates", "add", "trained", "--expect", "good") == 0
    assert "trained/easy.png: the model was trained on it" in caplog.text


def test_a_damaged_history_is_named(masters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 3):
        assert fastflow("masters", "plates", "check") == 0
        assert len(read_history("plates")) == number
    with history_file("plates").open("a") as file:
        file.write('{"format": 1')
    assert fastflow("masters", "plates", "check") == 3
    assert "masters/plates.jsonl, line 3, is damaged" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_champion_is_checked_where_there_is_one(masters: Path) -> None:
    assert model_of_the_line("plates") == "plates"
    assert not Path(".mlflow/mlflow.db").exists()
    register(MODEL)
    sync()
    assert model_of_the_line("plates") == "plates"
    client = store.connect()
    aliases.crown(client, "plates", "1")
    assert fastflow("masters", "plates", "check") == 0
    last = read_last("plates")
    assert last
    assert last.model == "fastflow-plates/1"
    assert last.weights == weights_id(read_config(MODEL))
    sync()
    (run,) = client.search_runs(["1"], "tags.model_version = 'fastflow-plates/1'")
    assert (run.data.metrics["masters_right"], run.data.metrics["masters_wrong"]) == (3, 0)
    assert {one.path for one in client.list_artifacts(run.info.run_id, "masters")} == {
        "masters/plates.html", "masters/plates.json", "masters/plates.jsonl",
    }  # fmt: skip
