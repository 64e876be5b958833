"""An image is its content: what a camera writes under an old name is scored again, and its picture is its own."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.evaluation import score_images
from fastflow.files import file_sha256
from fastflow.index import write_index
from fastflow.sealed import read_config, weights_id
from fastflow.trained import TrainedDetector
from pipelines.core.paths import index_file
from pipelines.scoring import score as command
from pipelines.scoring.labelled import labelled_scores
from pipelines.scoring.overlays import overlay_name
from tests.conftest import draw_square, hashed_index
from tests.scoring.test_score import plates as plates  # the fixture
from tests.scoring.test_score import run
from tests.stages import write_tiny_params

pytestmark = pytest.mark.usefixtures("folder")
TO = ("--to", "scores.csv")


def rows() -> list[dict[str, str]]:
    with Path("scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def shot(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_square(seed=seed, defect=False)[0]).save(path)
    return path


def test_a_ring_buffer_keeps_every_judgment_with_its_hash(plates: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = [shot(Path(f"ring/{number:04}.png"), number) for number in range(3)]
    first = [file_sha256(path) for path in files]
    assert run("--model", "plates", "ring", *TO) == 0
    shot(files[1], 77)
    capfd.readouterr()
    assert run("--model", "plates", "ring", *TO) == 0
    assert "1 of them have changed since: scored again, and the earlier rows stay" in capfd.readouterr().err
    found = [(row["path"], row["sha256"]) for row in rows()]
    assert found == [*zip(map(str, files), first, strict=True), (str(files[1]), file_sha256(files[1]))]
    by_hash = {row["sha256"]: float(row["pred_score"]) for row in rows()}
    expected = score_images(TrainedDetector.load(Path("models/plates")), [files[1]], batch_size=1).pred_score[0]
    assert by_hash[file_sha256(files[1])] == pytest.approx(expected, rel=1e-5)
    assert by_hash[file_sha256(files[1])] != by_hash[first[1]]
    before = Path("scores.csv").read_bytes()
    shot(files[1], 1)  # as it was at first: judged already
    assert run("--model", "plates", "ring", *TO) == 0
    assert Path("scores.csv").read_bytes() == before


def test_overlays_of_like_names_and_of_one_name_stay_apart(plates: Path) -> None:
    files = [shot(Path("x/a/b_c.png"), 1), shot(Path("x/a_b/c.png"), 2), shot(Path("x/" + "n" * 247 + ".png"), 3)]
    command_line = ("--model", "plates", "x", *TO, "--overlays", "seen")
    assert run(*command_line) == 0
    shot(files[0], 4)
    assert run(*command_line) == 0
    pictures = sorted(path.name for path in Path("seen").iterdir())
    assert len(pictures) == len(rows()) == 4
    assert pictures == sorted(overlay_name(row["path"], row["sha256"]) for row in rows())
    assert all(len(name.encode()) <= 255 for name in pictures)


def test_an_overlay_that_cannot_be_written_costs_no_score(
    plates: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(plates / "test/good", "x")

    def gone(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.scoring.overlays.write_overlay", gone)
    assert run("--model", "plates", "x", *TO, "--overlays", "seen") == 0
    assert len(rows()) == 4
    said = capfd.readouterr().err
    assert "4 overlays could not be written, their images are scored" in said
    assert said.count("No space left") == command.MESSAGES_SHOWN == 3
    assert "and 1 more; all of them: scores.csv.overlays.txt" in said
    assert len(Path("scores.csv.overlays.txt").read_text().splitlines()) == 4


def test_a_wall_of_unreadable_files_is_a_count_three_examples_and_a_file(
    plates: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shot(Path("x/good.png"), 1)
    for number in range(40):
        Path(f"x/bad{number:02}.png").write_bytes(b"\x89PNG no")
    assert run("--model", "plates", "x", *TO) == 3
    said = capfd.readouterr().err
    assert "40 of 41 images could not be scored" in said
    assert said.count("bad") == 3
    assert "and 37 more; all of them: scores.csv.unread.txt" in said
    assert len(Path("scores.csv.unread.txt").read_text().splitlines()) == 40


@pytest.fixture
def labelled_plates(plates: Path) -> Path:
    """The category's folder as `data.root` has it, its index, and its test images' scores of today's model."""
    write_tiny_params(Path.cwd())
    shutil.copytree(plates, "images/plates")
    write_index(hashed_index(Path("images/plates")), index_file("plates"))
    return Path("images/plates")


def write_scores(folder: Path, **changes: str | int) -> None:
    """As an evaluation leaves them, with scores that no model has given."""
    test = hashed_index(folder).query("split == 'test'").reset_index(drop=True)
    table = test[["image_path", "sha256", "gt_label"]].assign(
        pred_score=np.linspace(5, 6, len(test)), model=weights_id(read_config(Path("models/plates")))
    )
    Path("reports/plates").mkdir(parents=True, exist_ok=True)
    for name, value in changes.items():
        table[name] = value
    table.to_csv("reports/plates/scores.csv", index=False)


def test_scores_of_the_model_and_images_that_are_there_now_are_taken(labelled_plates: Path) -> None:
    write_scores(labelled_plates)
    for needed in (True, False):
        assert labelled_scores("plates", needed=needed)["pred_score"].between(5, 6).all()


@pytest.mark.parametrize("changes", [{"model": "0123456789ab"}, {"sha256": "0" * 64}, {"gt_label": 1}])
def test_scores_of_another_model_or_of_other_images_are_made_anew(
    labelled_plates: Path, changes: dict[str, str | int]
) -> None:
    write_scores(labelled_plates, **changes)
    assert labelled_scores("plates", needed=False).empty
    found = labelled_scores("plates", needed=True)
    test = hashed_index(labelled_plates).query("split == 'test'")
    paths = [labelled_plates / path for path in test["image_path"]]
    expected = score_images(TrainedDetector.load(Path("models/plates")), paths, batch_size=4)
    assert found["pred_score"].to_numpy() == pytest.approx(expected.pred_score, rel=1e-5)
    assert found["gt_label"].tolist() == test["gt_label"].tolist()


def test_max_miss_takes_no_score_of_the_model_before(labelled_plates: Path) -> None:
    write_scores(labelled_plates, model="0123456789ab")
    found = labelled_scores("plates", needed=True)
    lowest = found.loc[found["gt_label"] == 1, "pred_score"].min()
    Path("reports/plates/scores.csv").rename("old.csv")
    assert labelled_scores("plates", needed=True).equals(found)  # without an evaluation, too
    assert lowest < 5
