"""What a person's folder means: each way to say the same, what is told as not used, and what is refused as unclear."""

import os
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fastflow.decode import read_mask
from fastflow.errors import BadData
from pipelines.data import add_category as command
from pipelines.data.add_category import add_category, copy, summary
from pipelines.data.layouts import find_layout
from tests.conftest import draw_square
from tests.data.test_add_category import counts, here

__all__ = ["here"]  # the fixture


def images(*folders: Path, count: int = 6, suffix: str = ".png") -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            seed = zlib.crc32(f"{folder.name}{number}".encode())
            Image.fromarray(draw_square(seed=seed, defect=False)[0]).save(folder / f"{number:03}{suffix}")


def mask(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_square(seed=0, defect=True)[1]).save(path)
    return path


def kinds(folder: Path) -> dict[str, int]:
    """Images by class, and masks."""
    items = find_layout(folder, test_fraction=0).items
    return dict(Counter(item.defect_type for item in items)) | {"masks": sum(bool(item.mask) for item in items)}


def test_every_file_that_is_not_taken_is_told(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    images(source / "good", source / "bad", source / "good/deeper")
    images(source / "bad", count=2, suffix=".gif")
    other = [mask(source / "masks/none.png")]
    for name in ("good/photo.heic", "good/000", "bad/marks.xml", "notes.txt"):
        (source / name).write_bytes(b"x")
        other.append(source / name)
    for name in (".hidden.png", "bad/Thumbs.db", "good/.DS_Store", "desktop.ini"):
        (source / name).write_bytes(b"x")
    found = find_layout(source, test_fraction=0.2)
    expected = {*other, *(source / "good/deeper").iterdir(), *source.glob("bad/*.gif")}
    assert set(found.unused) == expected
    lines = summary(source, found).splitlines()
    assert f"  NOT USED: {len(expected)} files" in lines
    assert {line.strip() for line in lines} >= {str(path) for path in expected}


LINKS = {"bad": "../elsewhere", "loop": "..", "good/p.png": "/etc/hostname", "good/self.png": "self.png"}


@pytest.mark.parametrize("name", LINKS)
def test_links_are_refused_and_each_is_named(here: Path, name: str) -> None:
    images(here / "mine/good", here / "elsewhere")
    (here / "mine" / name).symlink_to(LINKS[name])
    (here / "mine/gone.png").symlink_to("nowhere.png")
    with pytest.raises(BadData, match="holds 2 links, which are not followed") as raised:
        add_category(here / "mine", "part", root=Path("data/own"), test_fraction=0.2)
    assert f"mine/{name} -> {LINKS[name]}" in str(raised.value)
    assert "mine/gone.png -> nowhere.png" in str(raised.value)
    assert not Path("data").exists()


@pytest.mark.parametrize("good", ["good", "OK", "Normal", "images"])
@pytest.mark.parametrize(
    "place", ["Masks/{}", "GT/{}", "gt/SCRATCH/{}_Mask", "Ground_Truth/{}_mask", "scratch/{}_MASK"]
)
def test_names_of_folders_mean_the_same_in_any_case(tmp_path: Path, good: str, place: str) -> None:
    source = tmp_path / "mine"
    images(source / good, source / "scratch")
    for number in range(4):
        mask(source / f"{place.format(f'{number:03}')}.png")
    if good == "images" and not place.startswith("scratch"):
        with pytest.raises(BadData, match="which images are good"):
            kinds(source)
    else:
        assert kinds(source) == {"good": 6, "scratch": 6, "masks": 4}


@pytest.mark.parametrize(
    ("train", "test"), [("train/good", "test/ok"), ("Train/OK", "Test/Good"), ("train/normal", "test/good")]
)
def test_good_is_good_in_mvtec_layout_however_it_is_called(here: Path, train: str, test: str) -> None:
    images(
        here / "mine" / train, here / "mine" / test, here / "mine/test/ng" if "test/" in test else here / "mine/Test/ng"
    )
    add_category(here / "mine", "part", root=Path("data/own"), test_fraction=0.2)
    assert counts(Path("data/own/part")) == {("train", "good"): 6, ("test", "good"): 6, ("test", "ng"): 6}


UNCLEAR = {
    "two good folders": (["Good", "good"], [], "several folders mean the same"),
    "two good folders by other names": (["ok", "normal"], [], "several folders mean the same"),
    "two good folders in test": (["train/good", "test/good", "test/OK"], [], "several folders mean the same"),
    "images beside ok": (["images", "ok"], [], "images: good images, or a defect type, beside"),
    "labels": (["good", "bad", "labels"], [], "labels: masks, or a defect type"),
    "annotations by defect": (["good", "bad", "Annotations/bad"], [], "Annotations: masks, or a defect type"),
    "one mask for two": (["good", "dent", "scratch"], ["masks/000.png"], "mask of .*dent/000.png and of .*scratch/000"),
    "one mask for two, MVTec": (
        ["train/good", "test/dent", "test/scratch"], ["ground_truth/000_mask.png"], "mask of .*dent/000.* and of"
    ),
    "two masks for one": (["good", "bad"], ["masks/000.png", "GT/000.png"], "several files could be its mask"),
    "classes alike": (["good", "bad", "Bad"], [], "both become test/bad/000.png|differ in case alone"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_can_be_meant_in_two_ways_is_refused(here: Path, case: str) -> None:
    folders, masks, message = UNCLEAR[case]
    images(*(here / "mine" / folder for folder in folders))
    for path in masks:
        mask(here / "mine" / path)
    with pytest.raises(BadData, match=message):
        add_category(here / "mine", "part", root=Path("data/own"), test_fraction=0.2)
    assert not Path("data").exists()


def test_images_alike_but_for_case_are_refused_and_none_is_ever_written_over(tmp_path: Path) -> None:
    images(tmp_path / "mine/good")
    found = find_layout(tmp_path / "mine", test_fraction=0)
    (tmp_path / "made/train/good").mkdir(parents=True)
    (tmp_path / "made/train/good/000.png").write_bytes(b"another")
    with pytest.raises(FileExistsError, match=r"000\.png"):
        copy(found, tmp_path / "made")
    assert (tmp_path / "made/train/good/000.png").read_bytes() == b"another"
    (tmp_path / "mine/good/000.PNG").write_bytes(b"another")
    with pytest.raises(BadData, match=r"000\.PNG and .*000\.png would both become"):
        find_layout(tmp_path / "mine", test_fraction=0)


def test_masks_are_found_at_any_place_and_copied_as_they_mark(here: Path) -> None:
    images(here / "mine/good", here / "mine/bad", count=5)
    for number in range(5):
        grey = Image.open(mask(here / f"truth/{number:03}.png")).convert("L")
        (here / "mine/masks").mkdir(exist_ok=True)
        white = Image.new("L", grey.size, 255)
        Image.merge("LA", (white, grey)).save(here / f"mine/masks/{number:03}.png")
    add_category(here / "mine", "part", root=Path("data/own"), test_fraction=0)
    copied = read_mask(Path("data/own/part/ground_truth/bad/003_mask.png"))
    assert (copied == read_mask(here / "truth/003.png")).all()


def test_two_calls_with_one_name_make_one_whole_category(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second starts while the first copies; it waits, and finds the name taken."""
    for number in (0, 1):
        images(here / f"mine{number}", count=5 + number)
    reading, writing = os.pipe()

    def slow_copy(found: object, folder: Path) -> None:
        os.write(writing, b".")
        time.sleep(0.5)
        copy(found, folder)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "copy", slow_copy)
    children = []
    for number in (0, 1):
        child = os.fork()
        if not child:
            code = 1
            try:
                add_category(here / f"mine{number}", "part", root=Path("data/own"), test_fraction=0)
                code = 0
            except ValueError as error:
                code = 2 if "exists; to check it again" in str(error) else 3
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0, 2]
    assert os.read(reading, 9) == b"."
    assert counts(Path("data/own/part")) == {("train", "good"): 5 + codes.index(0)}
    assert not list(Path("data/own").glob(".*.part"))
