"""Decisions into data: what goes where, what is left out and said, and that a second time adds nothing."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from fastflow.files import file_sha256
from fastflow.index import list_category
from pipelines.data.reviewed import read_reviewed
from pipelines.review import apply as module
from pipelines.review.decisions import decide, undo
from pipelines.review.plan import Addition
from pipelines.review.store import opened, picture_file
from tests.conftest import fastflow, write_plates
from tests.review.kit import judged, keep, plate
from tests.stages import write_tiny_params

NOW = 1_800_000_000.0
PLATES = Path("images/plates")


@pytest.fixture(autouse=True)
def _project(folder: Path) -> None:
    write_plates(PLATES)
    write_tiny_params(folder)


def decided(sha256: str, action: str, kind: str = "", *, by: str = "Ana") -> None:
    with opened("plates") as base:
        decide(base, sha256, by, action, kind, NOW)


def files() -> dict[str, str]:
    return {p.relative_to(PLATES).as_posix(): file_sha256(p) for p in sorted(PLATES.rglob("*")) if p.is_file()}


def applied(capsys: pytest.CaptureFixture[str], *, code: int = 0) -> str:
    assert fastflow("review", "plates", "--apply", "--yes") == code
    said = capsys.readouterr()
    return said.out + said.err


def test_good_ones_are_trained_on_and_defects_tested_with(capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    good, dent, missed, skipped = keep(
        judged(101, score=0.9), judged(102, score=0.9, defect=True), judged(103, score=0.2), judged(104, score=0.2)
    )
    decided(good, "good")
    decided(dent, "defect", "dent")
    decided(dent, "defect", "dent", by="Ben")
    decided(missed, "defect", "square")
    decided(skipped, "skip")
    said = applied(capsys)
    places = {
        f"train/good/line-{good[:16]}.png": good,
        f"test/dent/line-{dent[:16]}.png": dent,
        f"test/square/line-{missed[:16]}.png": missed,
    }
    masks = {f"ground_truth/dent/line-{dent[:16]}_mask.png", f"ground_truth/square/line-{missed[:16]}_mask.png"}
    assert files().keys() - before.keys() == {*places, *masks, "review.json"}
    assert {name: files()[name] for name in before} == before
    assert {name: files()[name] for name in places} == places
    assert "added 1 good picture and 2 defective pictures" in said
    assert "  test/dent: 1 more" in said
    entries = {one["sha256"]: one for one in read_reviewed(PLATES)}
    assert entries.keys() == {good, dent, missed}
    assert [one["inspector"] for one in entries[dent]["by"]] == ["Ana", "Ben"]
    assert entries[good]["by"][0]["time"].startswith("2027-01-15T08:00:00.000")
    assert (entries[dent]["mask"], entries[good]["mask"]) == ("proposal", "none")
    assert (entries[missed]["pred_score"], entries[missed]["model"]) == (0.2, "models:/fastflow-plates/3")


def test_where_there_are_no_masks_none_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(PLATES / "ground_truth")
    (dent,) = keep(judged(102, score=0.9, defect=True))
    decided(dent, "defect", "dent")
    applied(capsys)
    assert not (PLATES / "ground_truth").exists()
    assert read_reviewed(PLATES)[0]["mask"] == "none"


def test_a_second_time_adds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    good, dent = keep(judged(101, score=0.9), judged(102, score=0.9, defect=True))
    decided(good, "good")
    decided(dent, "defect", "dent")
    applied(capsys)
    first = files()
    assert "nothing new for images/plates\nthere already: 2" in applied(capsys)
    assert files() == first
    decided(keep(judged(105, score=0.9))[0], "good")
    applied(capsys)
    assert len(files()) == len(first) + 1


def test_a_killed_one_is_finished_by_the_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in keep(judged(101, score=0.9), judged(102, score=0.9, defect=True), judged(103, score=0.9)):
        decided(one, "good")
    done: list[str] = []

    def killed(one: Addition, category: str, folder: Path, *, with_mask: bool) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(one.sha256)
        real(one, category, folder, with_mask=with_mask)

    real = module.add
    with monkeypatch.context() as patch:
        patch.setattr(module, "add", killed)
        applied(capsys, code=130)
    assert read_reviewed(PLATES) == []
    applied(capsys)
    assert len(read_reviewed(PLATES)) == 3
    assert len(list((PLATES / "train/good").glob("line-*"))) == 3
    assert not list(PLATES.rglob("*.part"))


def test_disagreements_are_left_out_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    one, other = keep(judged(101, score=0.9, path="/mnt/a.png"), judged(102, score=0.9, path="/mnt/b.png"))
    decided(one, "good")
    decided(one, "defect", "dent", by="Ben")
    decided(other, "defect", "dent")
    decided(other, "defect", "hole", by="Ben")
    said = applied(capsys)
    assert "inspectors disagree, so left out: 2" in said
    assert "a.png: Ana good, Ben defect dent" in said
    assert "b.png: Ana defect dent, Ben defect hole" in said
    assert files() == before
    with opened("plates") as base:
        undo(base, "Ben", NOW)
        undo(base, "Ben", NOW)
    applied(capsys)
    assert len(read_reviewed(PLATES)) == 2


@pytest.mark.parametrize(
    ("place", "action", "kind"),
    [("test/good/000.png", "good", ""), ("test/square/000.png", "good", ""), ("train/good/000.png", "defect", "dent"),
     ("test/good/000.png", "defect", "dent"), ("test/square/000.png", "defect", "dent")],
)  # fmt: skip
def test_a_picture_that_the_folder_has_with_another_meaning_is_refused(
    capsys: pytest.CaptureFixture[str], place: str, action: str, kind: str
) -> None:
    before = files()
    (sha256,) = keep(judged(1, score=0.9, content=(PLATES / place).read_bytes()))
    decided(sha256, action, kind)
    said = applied(capsys)
    assert "content is in the folder with another meaning, so refused: 1" in said
    assert f"{place}: decided to be {f'defect ({kind})' if kind else 'good'}, but it lies there" in said
    assert files() == before


def test_a_changed_mind_after_applying_is_refused_not_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    (sha256,) = keep(judged(101, score=0.9))
    decided(sha256, "good")
    applied(capsys)
    decided(sha256, "defect", "dent")
    assert f"train/good/line-{sha256[:16]}.png: decided to be defect (dent)" in applied(capsys)
    index = list_category(PLATES)
    assert sum(index["image_path"].str.contains(sha256[:16])) == 1


def test_a_decision_that_is_taken_back_after_applying_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = keep(judged(101, score=0.9), judged(102, score=0.9))
    decided(other, "good", by="Ben")
    decided(one, "good")
    applied(capsys)
    assert "taken back" not in applied(capsys)
    with opened("plates") as base:
        undo(base, "Ana", NOW)
    said = applied(capsys)
    assert f"the decision was taken back: 1\n  train/good/line-{one[:16]}.png: remove it there" in said
    (PLATES / f"train/good/line-{one[:16]}.png").unlink()
    assert "taken back" not in applied(capsys)


def test_a_damaged_copy_is_not_applied(capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    one, other = keep(judged(101, score=0.9), judged(102, score=0.9))
    for sha256 in (one, other):
        decided(sha256, "good")
    picture_file("plates", one, ".png").write_bytes(b"damaged")
    picture_file("plates", other, ".png").unlink()
    said = applied(capsys)
    assert "cannot be applied any more: 2" in said
    assert files() == before


def test_a_folder_that_a_stage_makes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text().replace("root: images", "root: data/demo")
    Path("params.yaml").write_text(text)
    write_plates(Path("data/demo/plates"))
    assert "make it your own first: fastflow init data/demo/plates --name plates" in applied(capsys, code=2)


def test_a_record_that_is_damaged_is_bad_data(capsys: pytest.CaptureFixture[str]) -> None:
    decided(keep(judged(101, score=0.9))[0], "good")
    for content in ("{", json.dumps({"format": 1, "applied": [{"sha256": 7}]})):
        (PLATES / "review.json").write_text(content)
        assert "review.json is damaged" in applied(capsys, code=3)
    assert not list((PLATES / "train/good").glob("line-*"))


def test_the_same_content_kept_twice_is_one() -> None:
    content = plate(101, defect=False)
    keep(judged(1, score=0.9, content=content, path="/a.png"), judged(2, score=0.2, content=content, path="/b.png"))
    with opened("plates") as base:
        (row,) = base.execute("SELECT sha256, path FROM pictures").fetchall()
    assert tuple(row) == (hashlib.sha256(content).hexdigest(), "/a.png")
