"""What was read in a wrong way without a word is read rightly, or asked, with a remedy that holds."""

from pathlib import Path

import pytest
from PIL import Image

from fastflow.errors import BadData
from fastflow.sources import Sources
from pipelines.core.names import counted
from pipelines.data.add_category import add_category
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, mask_image, names, save, stops
from tests.data.test_add_category import here

__all__ = ["here"]  # the fixture


def test_the_remedy_of_a_day_leaves_its_defects_out(tmp_path: Path) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        good(tmp_path / day)
        bad(tmp_path / day / "NG")
    with pytest.raises(BadData, match=r"--good '2024-01-01/\*' or --good '2024-01-02/\*'$"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    reading = read_folder(tmp_path, ReadingOptions(Sources(good=("2024-01-01/*", "2024-01-02/*"))))
    assert classes(reading, tmp_path) == {
        "good": names("2024-01-01/", 6) | names("2024-01-02/", 6),
        "NG": names("2024-01-01/NG/", 3) | names("2024-01-02/NG/", 3),
    }
    assert not stops(reading)


def test_the_folder_with_most_images_is_the_first_proposal_and_no_defects(tmp_path: Path) -> None:
    good(tmp_path / "line 1")
    bad(tmp_path / "a", 2)
    bad(tmp_path / "kaputt")
    with pytest.raises(BadData, match=r"say which are good: --good 'line 1/\*\*' or --good 'a/\*\*'$"):
        read_folder(tmp_path, DEFAULT_OPTIONS)


@pytest.mark.parametrize("glob", ["**", "*.png", "day/**"])
@pytest.mark.parametrize(
    ("place", "option"), [("day/NG", "--ignore"), ("day/masks", "--masks"), ("day/dent", "--good")]
)
def test_good_that_takes_defects_or_masks_along_is_a_doubt(tmp_path: Path, glob: str, place: str, option: str) -> None:
    good(tmp_path / "day")
    bad(tmp_path / place, name="d{}.png")
    bad(tmp_path / "other", 1, name="x.jpg")
    how = Sources(good=(glob,), ignore=("other",))
    (doubt,) = stops(read_folder(tmp_path, ReadingOptions(how)))
    assert doubt.startswith(f"3 images in {place}/ taken as good by --good: {place}/d0.png")
    assert f"{option} '{place}/**'" in doubt
    assert not stops(read_folder(tmp_path, ReadingOptions(how._replace(good=(glob, f"{place}/**")))))


def test_a_flat_test_beside_a_flat_train_is_a_doubt(tmp_path: Path) -> None:
    good(tmp_path / "train")
    good(tmp_path / "test", 3)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("3 images for the test, not said to be good, taken as good: test/000.png")
    assert "--good 'train/**' --test-good 'test/**' or --defects 'test/**'" in doubt
    held = Sources(good=("train/**",), test_good=("test/**",))
    for sources, kind in ((held, "good"), (Sources(defects=("test/**",)), "defect")):
        reading = read_folder(tmp_path, ReadingOptions(sources))
        assert not stops(reading)
        test = {i.image.relative_to(tmp_path).as_posix(): i.defect_type for i in reading.items if i.split == "test"}
        assert {path: test[path] for path in names("test/", 3)} == dict.fromkeys(names("test/", 3), kind)


def test_one_mask_of_several_that_marks_more_than_half_is_named(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "dent", 40, masks="../masks/{:03}.png")
    mask_image("017").point(lambda level: 255 - level).save(tmp_path / "masks/017.png")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("1 of 40 masks of dent mark more than half of their image (9")
    assert ": masks/017.png: if inverted, redraw those alone or --ignore 'masks/017.png'" in doubt


@pytest.mark.parametrize(
    "folders", [("raw", "cropped"), ("images", "images_cropped"), ("RAW", "edited"), ("src", "raw"), ("cam1", "cam2")]
)
def test_good_images_in_two_versions_are_a_doubt(tmp_path: Path, folders: tuple[str, str]) -> None:
    for folder in folders:
        good(tmp_path / folder / "good")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("good images lie in 2 folders (")
    assert set(folders) == set(doubt.partition("(")[2].partition(")")[0].split(", "))


@pytest.mark.parametrize("place", ["?", "unknown", "to review", "unknown parts", "calibration", "background"])
@pytest.mark.parametrize("good_at", ["good", ""])
def test_what_is_not_sorted_is_neither_good_nor_a_defect(tmp_path: Path, place: str, good_at: str) -> None:
    goods = good(tmp_path / good_at)
    bad(tmp_path / "NG")
    good(tmp_path / place, 2)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    expected = {path.relative_to(tmp_path).as_posix() for path in goods}
    assert classes(reading, tmp_path) == {"good": expected, "NG": names("NG/", 3)}
    (doubt,) = stops(reading)
    assert doubt.startswith("2 images ")
    assert f"left out: {place}/000.png" in doubt


def test_masks_with_soft_edges_are_counted_and_named(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "dent", 5, masks="../masks/{:03}.jpg", change=lambda m: m.resize((23, 23), Image.Resampling.BICUBIC))
    notes = [str(doubt) for doubt in read_folder(tmp_path, DEFAULT_OPTIONS).doubts if not doubt.stops]
    assert [note.partition(": any")[0] for note in notes] == [
        "5 masks of more than two values (non_binary_mask): masks/000.jpg, masks/001.jpg, masks/002.jpg and 2 more"
    ]


def test_boxes_are_boxes() -> None:
    assert [counted(3, "box"), counted(1, "box"), counted(2, "batch")] == ["3 boxes", "1 box", "2 batches"]


def test_one_picture_in_two_formats_stays_on_one_side(tmp_path: Path) -> None:
    for path in good(tmp_path / "good", 16):
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    sides: dict[str, list[str]] = {}
    for item in reading.items:
        sides.setdefault(item.image.stem, []).append(item.split)
    assert sorted(sides) == [f"{number:03}" for number in range(16)]
    assert {(len(side), len(set(side))) for side in sides.values()} == {(2, 1)}
    assert 4 <= sum(item.split == "test" for item in reading.items) <= 8
    (note,) = map(str, reading.doubts)
    assert note.startswith(
        "32 good images called alike but for the suffix, kept on one side of the split: good/000.jpg"
    )


def test_what_was_added_by_hand_is_kept_by_again(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    good(here / "mine/good")
    bad(here / "mine/ng")
    own = Path("data/own")
    add_category(here / "mine", "part", root=own)
    added = good(own / "part/train/good", 1, name="mine.png")[0].read_bytes()
    save(mask_image("x"), own / "part/test/ng/000.png")
    changed = (own / "part/test/ng/000.png").read_bytes()
    (here / "mine/ng/002.png").unlink()  # gone from the source: what the copy made of it is no work of a person
    add_category(here / "mine", "part", root=own, again=True)
    kept = {p.relative_to(own).as_posix(): p.read_bytes() for p in own.glob("part.*/**/*.png")}
    assert kept == {"part.by-hand-1/train/good/mine.png": added, "part.by-hand-1/test/ng/000.png": changed}
    assert "2 files of data/own/part added or changed by hand" in caplog.text
    assert "kept in data/own/part.by-hand-1: " in caplog.text
    assert "train/good/mine.png" in caplog.text
    assert sorted(p.name for p in (own / "part/test/ng").iterdir()) == ["000.png", "001.png"]
    add_category(here / "mine", "part", root=own, again=True)
    assert sorted(p.name for p in own.iterdir() if not p.name.startswith(".")) == ["part", "part.by-hand-1"]


@pytest.mark.parametrize("damaged", ["{", "[]", ""])
def test_it_is_kept_too_where_nothing_tells_what_the_last_copy_wrote(here: Path, damaged: str) -> None:
    good(here / "mine/good")
    bad(here / "mine/ng")
    own = Path("data/own")
    add_category(here / "mine", "part", root=own)
    added = good(own / "part/train/good", 1, name="mine.png")[0].read_bytes()
    Path(".state/init/part/copied.json").write_text(damaged)
    add_category(here / "mine", "part", root=own, again=True)
    kept = {p.relative_to(own).as_posix(): p.read_bytes() for p in own.glob("part.*/**/*.png")}
    assert kept == {"part.by-hand-1/train/good/mine.png": added}  # and nothing that the new copy has
