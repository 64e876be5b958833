"""Files of regions that are gone on with: by the same rule, by one process, whatever was left of them."""

import fcntl
import json
from pathlib import Path

import pytest
from PIL import Image

from pipelines.scoring.rows import read_rows
from tests.scoring.region_kit import SHAPES, Brightness, Run, draw, read


def test_the_same_command_again_changes_nothing(run: Run) -> None:
    words = ("--to", "s.csv", "--regions", "r.csv", "--coco", "c.json")
    assert run(*words) == 0
    before = [Path(name).read_bytes() for name in ("s.csv", "r.csv", "c.json")]
    assert run(*words) == 0
    assert [Path(name).read_bytes() for name in ("s.csv", "r.csv", "c.json")] == before


def test_files_that_are_asked_for_later_are_complete(run: Run) -> None:
    assert run("--to", "s.csv") == 0
    before = Path("s.csv").read_bytes()
    assert run("--to", "s.csv", "--regions", "r.csv", "--coco", "c.json") == 0
    assert Path("s.csv").read_bytes() == before
    assert len(read("r.csv")) == 4
    assert len(json.loads(Path("c.json").read_text())["annotations"]) == 4


def test_a_file_whose_writer_was_killed_at_any_place_is_completed(run: Run) -> None:
    words = ("--to", "s.csv", "--regions", "r.csv")
    assert run(*words) == 0
    whole, scores = Path("r.csv").read_bytes(), Path("s.csv").read_bytes()
    for end in (0, 5, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        Path("r.csv").write_bytes(whole[:end])
        assert run(*words) == 0
        assert sorted(Path("r.csv").read_bytes().splitlines()) == sorted(whole.splitlines())
        assert Path("s.csv").read_bytes() == scores


def test_an_interrupted_coco_file_is_filled(run: Run) -> None:
    words = ("--to", "s.csv", "--coco", "c.json")
    assert run(*words, images=["a_two.png"]) == 0
    assert run(*words) == 0
    found = json.loads(Path("c.json").read_text())
    assert [one["file_name"] for one in found["images"]] == [f"{name}.png" for name in SHAPES]
    Path("c.json").write_text("")  # killed before it was written
    assert run(*words) == 0
    assert json.loads(Path("c.json").read_text()) == found


def test_a_photograph_that_was_overwritten_has_its_present_regions(run: Run) -> None:
    words = ("--to", "s.csv", "--regions", "r.csv", "--coco", "c.json")
    assert run(*words, images=["a_two.png"]) == 0
    Image.fromarray(draw([(1, 1, 3, 3, 255)])).save("a_two.png")
    assert run(*words, images=["a_two.png"]) == 0
    assert [row["area"] for row in read("r.csv")] == ["40", "36", "9"]
    found = json.loads(Path("c.json").read_text())
    assert ([one["area"] for one in found["annotations"]], len(found["images"])) == ([9], 1)


@pytest.mark.parametrize("columns", [12, 15])  # before regions were counted; before their threshold was written
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_score_files_of_before_are_read_and_go_on(run: Run, suffix: str, columns: int) -> None:
    path = Path(f"s.{suffix}")
    assert run("--to", path, images=["a_two.png"]) == 0
    rows = read_rows(path).rows
    if suffix == "csv":
        lines = [",".join(line.split(",")[:columns]) for line in path.read_text().splitlines()]
    else:
        lines = [json.dumps(dict(list(row._asdict().items())[:columns])) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    (older,) = read_rows(path).rows
    assert older[:columns] == rows[0][:columns]
    assert set(older[columns:]) == {None}
    assert run("--to", path, "--regions", "r.csv") == 0
    assert [len(read_rows(path).rows), len(read("r.csv"))] == [4, 4]
    if suffix == "csv":
        assert path.read_text().splitlines()[0] == lines[0]
        assert all(None not in row and None not in row.values() for row in read(str(path)))


def test_rows_by_different_rules_are_not_mixed(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("--to", "s.csv", "--regions", "r.csv", "--coco", "c.json") == 0
    before = [Path(name).read_bytes() for name in ("s.csv", "r.csv", "c.json")]
    assert run("--to", "s.csv", "--min-area", 5) == 3
    assert "s.csv holds scores with the min_area 0, not 5: remove it, or name another" in capfd.readouterr().err
    assert run("--to", "t.csv", "--regions", "r.csv", "--min-area", 5) == 3
    assert "r.csv holds regions with the min_area 0, not 5" in capfd.readouterr().err
    assert run("--to", "t.csv", "--regions", "r.csv", "--mm-per-pixel", 1) == 3
    assert "r.csv holds regions with the mm_per_pixel None, not 1.0" in capfd.readouterr().err
    assert run("--to", "t.csv", "--coco", "c.json", "--mm-per-pixel", 1) == 3
    assert "c.json holds regions with the mm_per_pixel None, not 1.0" in capfd.readouterr().err
    assert run("--to", "t.csv", "--regions", "r.csv", detector=Brightness(pixel=0.6)) == 3
    assert "r.csv holds regions with the threshold 0.5, not 0.6" in capfd.readouterr().err
    assert run("--to", "s.csv", detector=Brightness(pixel=0.6)) == 3
    assert "s.csv holds scores with the pixel_threshold 0.5, not 0.6" in capfd.readouterr().err
    assert [Path(name).read_bytes() for name in ("s.csv", "r.csv", "c.json")] == before


def test_pictures_of_another_shape_are_named(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """A camera that was turned by 90 degrees: its pictures are padded, and a defect in them may look like none."""
    for name, size in (("same", (64, 64)), ("larger", (128, 130)), ("turned", (40, 64)), ("tiny", (32, 32))):
        Image.new("RGB", size).save(f"{name}.png")
    assert run("--to", "s.csv", images=["same.png", "larger.png"]) == 0
    assert "another shape" not in caplog.text
    assert run("--to", "s.csv", images=["same.png", "larger.png", "turned.png", "tiny.png"]) == 0
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("2 images have another shape than this model's 64 x 64, or are smaller, ")
    assert said.endswith(":\n  turned.png\n  tiny.png")


@pytest.mark.parametrize("option", ["--regions", "--coco"])
def test_one_process_writes_at_a_time(run: Run, option: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Path("out.json").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert run("--to", "s.csv", option, "out.json") == 1
    assert "out.json is being written by another process; wait for it" in capfd.readouterr().err
    assert run("--to", "s.csv", option, "out.json") == 0
