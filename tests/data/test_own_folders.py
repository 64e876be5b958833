"""Folders as people have them are read as what they are: which images are good, which defects of which kind, whose each
mask is."""

import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from fastflow.arrange import Item, copy
from fastflow.errors import BadData
from fastflow.index import list_category
from fastflow.marks import MaskRule
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, Reading, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from pipelines.data.words import label_of, word_of
from tests.data.folders import assert_masks_are_true, bad, classes, good, names, stops
from tests.data.laid_out_folders import LAYOUTS
from tests.data.odd_folders import ODD

MASK_PLACES = [
    *(f"{{:03}}{end}.png" for end in ("_mask", "_gt", "_GT", "_label", "-mask", "_seg", "_segmentation", " mask")),
    *(f"../{place}/{{:03}}.png" for place in ("masks", "SegmentationClass", "masks_png", "Mask images", "GT_masks")),
    *(f"../{place}/{{:03}}.png" for place in ("heatmaps", "annotated", "mask_binary", "seg", "Label", "scratch_mask")),
    *("../ground_truth/scratch/{:03}_mask.png", "../masks/mask_{:03}.png", "../GT/{:03}.jpg.png", "masks/{:03}.PNG"),
]


@pytest.mark.parametrize("masks", MASK_PLACES)
def test_masks_are_masks_under_any_word_at_any_place(tmp_path: Path, masks: str) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "scratch", name="{:03}.jpg" if ".jpg" in masks else "{:03}.png", masks=masks)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    suffix = "{:03}.jpg" if ".jpg" in masks else "{:03}.png"
    assert classes(reading, tmp_path) == {"good": names("good/", 6), "scratch": names("scratch/", 3, name=suffix)}
    assert_masks_are_true(reading)
    assert not stops(reading)


@pytest.mark.parametrize("stem", ["part ({})", "({})", "Teil {}%", "\uff08{}\uff09", "[{}]", "{}\N{COLLISION SYMBOL}"])
@pytest.mark.parametrize(
    "masks", ["{}_mask.png", "{}-mask.png", "masks/{}_mask.png", "../mask/mask_{}.png", "{}-x.png"]
)
def test_a_mask_is_its_images_whatever_the_stem_ends_in(tmp_path: Path, stem: str, masks: str) -> None:
    """Windows numbers files so; their masks were good images and defects, in silence."""
    good(tmp_path / "good")
    name = stem.replace("{}", "{:03}")
    bad(tmp_path / "scratch", name=f"{name}.png", masks=masks.format(name))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    kinds = {"good": names("good/", 6), "scratch": names("scratch/", 3, name=f"{name}.png")}
    assert classes(reading, tmp_path) == kinds
    assert_masks_are_true(reading)


@pytest.mark.parametrize("case", LAYOUTS | ODD)
def test_a_layout_is_recognised_and_read_without_a_question(tmp_path: Path, case: str) -> None:
    layout, kinds, masked = (LAYOUTS | ODD)[case](tmp_path / "mine")
    reading = read_folder(tmp_path / "mine", DEFAULT_OPTIONS)
    assert reading.layout == layout
    assert classes(reading, tmp_path / "mine") == kinds
    assert not stops(reading)
    if masked:
        assert_masks_are_true(reading)
    assert_copied(reading, tmp_path / "made")
    assert all(item.split == "test" for item in reading.items if item.defect_type != "good")
    said_test = {item for item in reading.items if "test" in item.image.relative_to(tmp_path / "mine").parts[0].lower()}
    assert all(item.split == "test" for item in said_test)


def assert_copied(reading: Reading, folder: Path) -> None:
    """Every image arrives byte for byte under a name of its own, and its mask with it."""
    digests = copy(reading.items, folder, rule=MaskRule(), on_image=lambda: None)
    index = list_category(folder)
    assert len(index) == len(reading.items)
    for item in reading.items:
        assert (folder / item.target).read_bytes() == item.image.read_bytes()
        assert digests[item.target] == hashlib.sha256(item.image.read_bytes()).hexdigest()
    assert (index["mask_path"] != "").sum() == sum(
        bool(item.masks) and item.defect_type != "good" for item in reading.items
    )


def test_a_large_file_arrives_whole(tmp_path: Path) -> None:
    """In blocks, the last of them shorter; it need not be an image."""
    content = random.Random(0).randbytes(2**21 + 17)
    (tmp_path / "x.bmp").write_bytes(content)
    digests = copy(
        [Item(tmp_path / "x.bmp", "train", "good")], tmp_path / "made", rule=MaskRule(), on_image=lambda: None
    )
    assert (tmp_path / "made/train/good/x.bmp").read_bytes() == content
    assert digests == {"train/good/x.bmp": hashlib.sha256(content).hexdigest()}


def test_a_folder_of_dagm_has_its_masks_in_label(tmp_path: Path) -> None:
    for split in ("Train", "Test"):
        good(tmp_path / split, 3, name="1{:03}.PNG")
        bad(tmp_path / split, 2, name="0{:03}.PNG", masks="Label/0{:03}_label.PNG")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert reading.layout == "DAGM"
    assert_masks_are_true(reading)
    assert len(classes(reading, tmp_path)["defect"]) == 4
    assert not stops(reading)  # those without a mask are good, as DAGM has it; elsewhere that is a doubt
    assert "6 images without a mask, where others have one, taken as good" in " ".join(map(str, reading.doubts))


def test_data_sets_side_by_side_are_named(tmp_path: Path) -> None:
    for product in ("bottle", "cable"):
        good(tmp_path / product / "train/good")
        bad(tmp_path / product / "test/scratch")
    with pytest.raises(BadData, match=r"holds 2 data sets.*: bottle, cable; read one: fastflow init .*/bottle --name"):
        read_folder(tmp_path, DEFAULT_OPTIONS)


@pytest.mark.parametrize(
    ("name", "meaning", "label"),
    [
        ("no_crack", "good", "good"), ("NoCrack", "good", "good"), ("ohne Kratzer", "good", "good"),
        ("no_defect_2024", "good", "good"), ("undamaged", "good", "good"), ("damaged", "bad", "damaged"),
        ("crack_no_5", "defect", "crack"), ("No 5 crack", "defect", "crack"), ("part_no_crack", "defect", "crack"),
        ("not_good", "bad", "bad"), ("not good scratch", "bad", "scratch"), ("nicht gut", "bad", "bad"),
        ("non-conforming", "bad", "bad"), ("汚れ", "defect", "汚れ"),
    ],
)  # fmt: skip
def test_a_name_that_denies_a_defect_is_good_and_a_number_denies_nothing(name: str, meaning: str, label: str) -> None:
    assert word_of(name).meaning == meaning
    assert label_of(name) == label


def test_good_parts_of_several_days_called_after_what_they_lack(tmp_path: Path) -> None:
    """The second folder was a kind of defect, in silence."""
    good(tmp_path / "no_defect")
    good(tmp_path / "no_defect_2024", 2)
    bad(tmp_path / "defect")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    goods = names("no_defect/", 6) | names("no_defect_2024/", 2)
    assert classes(reading, tmp_path) == {"good": goods, "defect": names("defect/", 3)}
    (doubt,) = stops(reading)
    assert "--defects 'no_defect_2024/**'" in doubt


def test_outlines_that_show_the_part_are_named_with_the_way_out(tmp_path: Path) -> None:
    """As labelme has them where a region of interest was drawn on every image."""
    for path in [*good(tmp_path), *bad(tmp_path, name="d{}.png")]:
        box = {"label": "part", "points": [[1, 1], [20, 20]], "shape_type": "rectangle"}
        about = {"shapes": [box], "imagePath": path.name, "imageHeight": 24, "imageWidth": 24}
        path.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(BadData, match=r"each is marked as defective: .*--ignore '\*\.json' --good GLOB"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    settled = Sources(good=("[0-9]*.png",), defects=("d*.png",), ignore=("*.json",))
    reading = read_folder(tmp_path, ReadingOptions(settled))
    assert classes(reading, tmp_path) == {"good": names("", 6), "defect": names("", 3, name="d{}.png")}
    assert not any(item.masks for item in reading.items)


def test_kinds_of_any_name_are_kinds(tmp_path: Path) -> None:
    odd = [
        "a,b",
        'quo"te',
        "<b>bold",
        "100%",
        "#1",
        "(1)",
        "ölfleck",
        "-dash",
        "a&b",
        "defect.png",
        "mean",
        "$HOME",
        "'; drop",
    ]
    good(tmp_path / "mine/good")
    for kind in odd:
        bad(tmp_path / "mine" / kind, 1)
    bad(tmp_path / "mine/new\nline", 1)
    bad(tmp_path / "mine/ lead ", 1)
    bad(tmp_path / "mine/..hidden", 1)
    reading = read_folder(tmp_path / "mine", DEFAULT_OPTIONS)
    assert {item.defect_type for item in reading.items} == {"good", "new_line", "lead", *odd}
    assert [path.name for path in reading.left_out["hidden, or left by a system"]] == ["000.png"]
    assert not stops(reading)
    assert_copied(reading, tmp_path / "made")


def test_what_is_no_file_and_what_is_no_image_is_reported(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "dent", 1)
    (tmp_path / "good/dir.png").mkdir()
    (tmp_path / "scratch").mkdir()
    os.mkfifo(tmp_path / "good/pipe.png")
    (tmp_path / "good/empty.png").touch()
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("good/", 6) | {"good/empty.png"}, "dent": {"dent/000.png"}}
    assert reading.left_out == {"no plain files": [tmp_path / "good/pipe.png"]}
    assert [str(doubt) for doubt in reading.doubts] == ["2 folders without a file: good/dir.png, scratch"]


def test_copies_of_one_image_stay_on_one_side(tmp_path: Path) -> None:
    paths = good(tmp_path, 8)
    for number in range(12):
        (tmp_path / f"copy{number}.png").write_bytes(paths[number % 3].read_bytes())
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    sides: dict[bytes, set[str]] = {}
    for item in reading.items:
        sides.setdefault(item.image.read_bytes(), set()).add(item.split)
    assert len(sides) == 8
    assert all(len(side) == 1 for side in sides.values())
    assert {item.split for item in reading.items} == {"train", "test"}
