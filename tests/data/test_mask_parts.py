"""Masks of the test's images, points in space beside photographs, and masks of several colours."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.errors import BadData
from fastflow.marks import MaskRule
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import SIDE, assert_masks_are_true, bad, classes, good, names, save, stops, truth


def mvtec(folder: Path) -> None:
    good(folder / "train/good")
    good(folder / "test/good", 2)
    bad(folder / "test/scratch", masks="../../ground_truth/scratch/{:03}_mask.png")


def test_masks_of_ground_truth_are_of_the_test(tmp_path: Path) -> None:
    mvtec(tmp_path)
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    bad(tmp_path / "train/scratch", 2)
    (doubt,) = stops(reading := read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("2 images of training called as images of the test, whose the masks are; taken as defects")
    assert {item.image.parent.parent.name: len(item.masks) for item in reading.items if item.defect_type != "good"} == {
        "train": 0, "test": 1,
    }  # fmt: skip
    assert doubt.endswith("--ignore 'train/scratch/**'")
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("train/scratch/**",))))
    assert not stops(settled)
    assert_masks_are_true(settled)


def test_empty_masks_of_good_images_are_no_doubt(tmp_path: Path) -> None:
    mvtec(tmp_path)
    for number in range(2):
        save(Image.new("L", (SIDE, SIDE)), tmp_path / f"ground_truth/good/{number:03}_mask.png")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert not stops(reading)
    assert len(classes(reading, tmp_path)["good"]) == 8


def test_without_the_tests_images_their_masks_go_to_no_other_in_silence(tmp_path: Path) -> None:
    mvtec(tmp_path)
    bad(tmp_path / "train/scratch", 2)
    (doubt,) = stops(read_folder(tmp_path, ReadingOptions(Sources(ignore=("test/scratch/*.png", "002_mask.png")))))
    assert doubt.startswith(
        "2 masks of images of training only as those of the test, called alike, are left out: ground"
    )
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("test/scratch/*.png", "ground_truth/scratch/**"))))
    assert not stops(settled)


@pytest.mark.parametrize("beside", ["rgb", "views"])
def test_points_in_space_beside_photographs_are_left_out(tmp_path: Path, beside: str) -> None:
    """As MVTec 3D-AD is distributed: x, y and z of each pixel, here in a format that can be read."""
    for place in (f"train/good/{beside}", "train/good/xyz"):
        good(tmp_path / place)
    if beside != "rgb":  # an axis, a name of its own
        assert len(classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)["good"]) == 12
        return
    good(tmp_path / "test/cut/xyz", 3, name="{:03}.tiff")
    bad(tmp_path / "test/cut/rgb", masks="../gt/{:03}.png")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("train/good/rgb/", 6), "cut": names("test/cut/rgb/", 3)}
    assert len(reading.left_out["points in space, no images"]) == 9
    assert_masks_are_true(reading)
    assert not stops(reading)


def coloured(mask: Image.Image) -> Image.Image:
    """The part in green, its defect in red."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[2:22, 2:22] = (0, 255, 0)
    pixels[np.asarray(mask) > 0] = (255, 0, 0)
    return Image.fromarray(pixels)


def test_colours_are_named_before_masks_that_are_inverted(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.png", change=coloured)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.index("--mask-values '#ff0000'") < doubt.index("--mask-values '#00ff00'") < doubt.index("--masks-inv")
    (doubt,) = stops(read_folder(tmp_path, ReadingOptions(rule=MaskRule(inverted=True))))
    assert doubt.startswith("masks hold the colours #ff0000, #00ff00, all taken as good, by --masks-inverted: --mask-v")
    rule = MaskRule(values=("#ff0000",))
    settled = read_folder(tmp_path, ReadingOptions(rule=rule))
    assert not stops(settled)
    assert_masks_are_true(settled, rule)


def test_one_colour_and_what_is_inverted_rightly_are_no_doubt(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.png", change=lambda m: m.point(lambda level: 255 - level))
    rule = MaskRule(inverted=True)
    assert not stops(read_folder(tmp_path, ReadingOptions(rule=rule)))
    assert_masks_are_true(read_folder(tmp_path, ReadingOptions(rule=rule)), rule)


def test_where_masks_mark_every_image_their_colours_are_named(tmp_path: Path) -> None:
    for path in good(tmp_path / "img", name="g{}.png"):
        save(coloured(Image.new("L", (SIDE, SIDE))), tmp_path / "masks" / path.name)
    bad(tmp_path / "img", name="d{}.png", masks="../masks/d{}.png", change=coloured)
    with pytest.raises(BadData, match=r"say which colour .*: --mask-values '#ff0000' or .*--ignore 'masks/\*\*'"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    rule = MaskRule(values=("#ff0000",))
    found = read_folder(tmp_path, ReadingOptions(rule=rule))
    assert classes(found, tmp_path)["defect"] == names("img/", 3, name="d{}.png")


def test_a_value_to_be_left_out_that_no_mask_holds_is_refused(tmp_path: Path) -> None:
    def bordered(mask: Image.Image) -> Image.Image:
        pixels = (np.asarray(mask) > 0).astype(np.uint8)
        pixels[0] = 255
        return Image.fromarray(pixels)

    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.png", change=bordered)
    with pytest.raises(BadData, match=r"^--ignore-value 254 is in none of 3 masks; they hold 0, 1, 255; give one of"):
        read_folder(tmp_path, ReadingOptions(rule=MaskRule(ignore="254")))
    settled = read_folder(tmp_path, ReadingOptions(rule=MaskRule(ignore="255")))
    assert not stops(settled)
    assert truth("000").any()
    assert_masks_are_true(settled, MaskRule(ignore="255"))
