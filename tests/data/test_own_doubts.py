"""What could be meant in two ways is asked in one line, and the option that stands there settles it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fastflow.errors import BadData
from fastflow.marks import MaskRule
from fastflow.sources import Sources
from pipelines.data.layouts.reading import AS_FOUND, How
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import assert_masks_are_true, bad, classes, good, mask_image, names, photograph, save, stops


def two_good(f: Path) -> None:
    good(f / "good")
    good(f / "good_2024", 2)
    bad(f / "ng")


def two_exact(f: Path) -> None:
    good(f / "ok")
    good(f / "Normal", 2)
    bad(f / "ng")


def images_beside_good(f: Path) -> None:
    good(f / "ok")
    good(f / "images", 2)


def in_the_root_beside_good(f: Path) -> None:
    good(f / "good")
    good(f, 2)


def rejected_in_good(f: Path) -> None:
    good(f / "good")
    good(f / "good/rejected", 2)


def beside_unknown(f: Path) -> None:
    good(f)
    bad(f / "line 7")


def flat_masks(f: Path) -> None:
    good(f)
    bad(f, name="d{:02}.png", masks="masks/d{:02}.png")


def flat_beside(f: Path) -> None:
    """As Roboflow exports label masks."""
    good(f, name="{:03}.jpg")
    bad(f, name="d{:02}.jpg", masks="d{:02}_mask.png")
    (f / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, scratch\n")


def unknown_suffix(f: Path) -> None:
    good(f / "good")
    bad(f / "scratch", masks="{:03}-x.png")


def unknown_folder(f: Path) -> None:
    good(f / "good")
    bad(f / "scratch", masks="../export 3/{:03}.png")


def labels_are_photographs(f: Path) -> None:
    good(f / "good")
    good(f / "labels", 2)


def masks_are_photographs(f: Path) -> None:
    good(f / "good")
    bad(f / "scratch")
    for number in range(3):
        save(photograph(f"m{number}"), f / f"masks/{number:03}.png")


def masks_of_nobody(f: Path) -> None:
    """As Label Studio names them."""
    good(f / "good")
    bad(f / "scratch", name="a1b2-part_{:03}.png")
    for number in range(3):
        save(mask_image(f"a1b2-part_{number:03}"), f / f"masks/task-{number}-annotation-1-by-1-tag-scratch-0.png")


def good_with_marks(f: Path) -> None:
    good(f / "good", 3)
    bad(f / "good", 1, name="d.png", masks="../masks/d.png")
    bad(f / "scratch", masks="../masks/{:03}.png")


def two_places(f: Path) -> None:
    good(f / "good")
    bad(f / "bad", 1, masks="../masks/{:03}.png")
    save(mask_image("000"), f / "GT/000.png")


def in_two_cases(f: Path) -> None:
    good(f / "good")
    bad(f / "Scratch", 1)
    bad(f / "scratch", 2, name="1{:02}.png")


def another_format(f: Path) -> None:
    good(f / "good")
    (f / "good/x.heic").write_bytes(b"x")


def yolo(f: Path) -> None:
    for path in good(f / "images", 4):
        text = f / "labels" / f"{path.stem}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text("0 0.5 0.5 0.25 0.25\n")


def all_named_after_a_defect(f: Path) -> None:
    good(f, name="scratch_{:03}.png")


def by_product(f: Path) -> None:
    for product in ("lid", "bracket"):
        good(f / product / "good")
        bad(f / product / "ng")


# what is drawn; the doubt; the option that settles it, as it stands in the doubt; what is then read
Case = tuple[Callable[[Path], None], str, str, Sources, dict[str, set[str]]]
GOOD, NG = names("good/", 6), {"ng": names("ng/", 3)}
SCRATCH = {"scratch": names("scratch/", 3)}
DOUBTS: dict[str, Case] = {
    "two good folders": (
        two_good, "more than one folder could be the good one, all taken as good: good (6), good_2024 (2)",
        "--defects 'good_2024/**'", Sources(defects=("good_2024/**",)),
        {"good": GOOD, "defect": names("good_2024/", 2)} | NG,
    ),
    "two good folders, both": (
        two_good, "more than one folder could be the good one", "--good 'good/**' --good 'good_2024/**'",
        Sources(good=("good/**", "good_2024/**")), {"good": GOOD | names("good_2024/", 2)} | NG,
    ),
    "two good folders of other words": (
        two_exact, "more than one folder could be the good one", "--ignore 'Normal/**'",
        Sources(ignore=("Normal/**",)), {"good": names("ok/", 6)} | NG,
    ),
    "images beside good": (
        images_beside_good, "2 images beside the good ones' folder, left out: images/000.png", "--good 'images/**'",
        Sources(good=("images/**", "ok/**")), {"good": names("ok/", 6) | names("images/", 2)},
    ),
    "images in the root beside good": (
        in_the_root_beside_good, "2 images beside the good ones' folder, left out: 000.png, 001.png", "--defects '/*'",
        Sources(defects=("/*.png",)), {"good": GOOD, "defect": names("", 2)},
    ),
    "rejected in good": (
        rejected_in_good, "2 images beside the good ones' folder, left out: good/rejected/000.png",
        "--defects 'good/rejected/**'", Sources(defects=("good/rejected/**",)),
        {"good": GOOD, "rejected": names("good/rejected/", 2)},
    ),
    "beside a name of its own": (
        beside_unknown, "6 images beside line 7, taken as good: 000.png", "--good '/*'", Sources(good=("/*.png",)),
        {"good": names("", 6), "line 7": names("line 7/", 3)},
    ),
    "without a mask": (
        flat_masks, "6 images without a mask, where others have one, taken as good: 000.png",
        "--good '[0-9]*.png'", Sources(good=("[0-9]*.png",)),
        {"good": names("", 6), "defect": names("", 3, name="d{:02}.png")},
    ),
    "label masks of Roboflow": (
        flat_beside, "6 images without a mask, where others have one, taken as good: 000.jpg",
        "--good '[0-9]*.jpg'", Sources(good=("[0-9]*.jpg",)),
        {"good": names("", 6, name="{:03}.jpg"), "defect": names("", 3, name="d{:02}.jpg")},
    ),
    "masks of an unknown suffix": (
        unknown_suffix, "3 files called <image>-x.png look like masks; taken as such", "--masks '*-x.png'",
        Sources(masks=("*-x.png",)), {"good": GOOD} | SCRATCH,
    ),
    "masks in an unknown folder": (
        unknown_folder, "3 files in export 3/ look like masks, and are called as images are; taken as masks",
        "--masks 'export 3/**'", Sources(masks=("export 3/**",)), {"good": GOOD} | SCRATCH,
    ),
    "labels": (
        labels_are_photographs, "2 files in labels/ look like photographs; left out", "--defects 'labels/**'",
        Sources(defects=("labels/**",)), {"good": GOOD, "defect": names("labels/", 2)},
    ),
    "photographs in masks": (
        masks_are_photographs, "3 files in masks/ look like photographs; taken as masks", "--ignore 'masks/**'",
        Sources(ignore=("masks/**",)), {"good": GOOD} | SCRATCH,
    ),
    "masks of nobody": (
        masks_of_nobody, "3 masks called as no image: masks/task-0-", "--ignore 'masks/**'",
        Sources(ignore=("masks/**",)), {"good": GOOD, "scratch": names("scratch/", 3, name="a1b2-part_{:03}.png")},
    ),
    "a good image with a mask": (
        good_with_marks, "1 good image with masks that mark a defect: good/d.png", "--defects 'good/d.png'",
        Sources(defects=("good/d.png",)), {"good": names("good/", 3), "defect": {"good/d.png"}} | SCRATCH,
    ),
    "masks in two places": (
        two_places, "1 image with masks in several folders, united: GT/000.png, masks/000.png", "--ignore 'GT/**'",
        Sources(ignore=("GT/**",)), {"good": GOOD, "bad": {"bad/000.png"}},
    ),
    "another format": (
        another_format, "1 .heic file of a format that is not read: good/x.heic", "--ignore '*.heic'",
        Sources(ignore=("*.heic",)), {"good": GOOD},
    ),
    "YOLO": (
        yolo, "4 files of text (YOLO) called as images, not read: labels/000.txt", "--ignore '*.txt'",
        Sources(ignore=("*.txt",)), {"good": names("images/", 4)},
    ),
    "all called scratch": (
        all_named_after_a_defect, "6 images all called after a defect, taken as good", "--good '/*'",
        Sources(good=("/*",)), {"good": names("", 6, name="scratch_{:03}.png")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTS)
def test_a_doubt_stops_and_its_option_settles_it(tmp_path: Path, case: str) -> None:
    draw, told, option, sources, expected = DOUBTS[case]
    draw(tmp_path)
    (doubt,) = (doubt for doubt in stops(read_folder(tmp_path, AS_FOUND)) if doubt.startswith(told))
    assert option in doubt.partition(told)[2]
    settled = read_folder(tmp_path, How(sources))
    assert classes(settled, tmp_path) == expected
    assert not stops(settled)


@pytest.mark.parametrize(
    ("draw", "told", "option"),
    [
        (in_two_cases, "Scratch and scratch differ in case alone; taken as one kind of defect", "rename one"),
        (by_product, "good images lie in 2 folders (bracket, lid), taken as one product", "fastflow init"),
    ],
)
def test_a_doubt_that_a_person_settles_elsewhere(
    tmp_path: Path, draw: Callable[[Path], None], told: str, option: str
) -> None:
    draw(tmp_path)
    (doubt,) = stops(read_folder(tmp_path, AS_FOUND))
    assert doubt.startswith(told)
    assert option in doubt


def test_a_mask_that_could_be_of_two_images_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    good(tmp_path / "good", 3)
    good(tmp_path / "good", 3, name="{:03}.jpg")  # two images of one stem are two images
    bad(tmp_path / "scratch")
    bad(tmp_path / "scratch", name="{:03}.jpg", masks="../masks/{:03}.png")
    told = r"masks/000.png would be the mask of .*000.jpg and of .*000.png, .* 2 more; .*--ignore 'scratch/\*.jpg'"
    with pytest.raises(BadData, match=told):
        read_folder(tmp_path, AS_FOUND)
    reading = read_folder(tmp_path, How(Sources(ignore=("scratch/*.jpg",))))
    assert classes(reading, tmp_path) == {"good": names("good/", 3) | names("good/", 3, name="{:03}.jpg")} | SCRATCH
    assert_masks_are_true(reading)
    assert len({item.name for item in reading.items if item.defect_type == "good"}) == 6


def inverted(mask: Image.Image) -> Image.Image:
    return mask.point(lambda level: 255 - level)


def value_1(mask: Image.Image) -> Image.Image:
    return mask.point(lambda level: level // 255)


def coloured(colour: tuple[int, ...], background: tuple[int, ...]) -> Callable[[Image.Image], Image.Image]:
    def redraw(mask: Image.Image) -> Image.Image:
        drawn = Image.new("RGBA" if len(colour) == 4 else "RGB", mask.size, background)
        drawn.paste(colour, (0, 0), mask)
        return drawn

    return redraw


def palette(*colours: int) -> Callable[[Image.Image], Image.Image]:
    def redraw(mask: Image.Image) -> Image.Image:
        drawn = Image.frombytes("P", mask.size, value_1(mask).tobytes())
        drawn.putpalette([*colours, *[255] * 30])
        return drawn

    return redraw


def soft(mask: Image.Image) -> Image.Image:
    """Four times as large, with soft edges: half of an edge's pixel is its middle."""
    large = mask.resize((96, 96), Image.Resampling.NEAREST)
    return large.resize((192, 192), Image.Resampling.BICUBIC)


def sixteen_bits(mask: Image.Image) -> Image.Image:
    return value_1(mask).convert("I;16")


FORMS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "value 1": value_1,
    "red on transparency": coloured((255, 0, 0, 255), (0, 0, 0, 0)),
    "black on transparency": coloured((0, 0, 0, 255), (0, 0, 0, 0)),
    "red on black": coloured((255, 0, 0), (0, 0, 0)),
    "palette, white background": palette(255, 255, 255, 255, 0, 0),
    "palette, all black": palette(0, 0, 0, 0, 0, 0),
    "palette, colour": palette(0, 0, 0, 128, 0, 0),
    "larger, soft edges": soft,
    "16 bits": sixteen_bits,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_means_the_same_in_any_form(tmp_path: Path, form: str) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.png", change=FORMS[form])
    reading = read_folder(tmp_path, AS_FOUND)
    assert not stops(reading)
    assert_masks_are_true(reading)


Form = tuple[Callable[[Image.Image], Image.Image], str, str, MaskRule]
DOUBTFUL: dict[str, Form] = {
    "inverted": (inverted, r"3 masks of scratch mark 9\d% of their image", "--masks-inverted", MaskRule(inverted=True)),
    "red on grey": (
        coloured((255, 0, 0), (90, 90, 90)), "3 masks of scratch mark 100% of their image",
        "--mask-values '#ff0000'", MaskRule(values=("#ff0000",)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", DOUBTFUL)
def test_a_mask_that_marks_too_much_is_a_doubt(tmp_path: Path, form: str) -> None:
    change, told, option, rule = DOUBTFUL[form]
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.png", change=change)
    (doubt,) = stops(read_folder(tmp_path, AS_FOUND))
    assert option in doubt.rpartition(": ")[2]
    assert re.match(told, doubt)
    settled = read_folder(tmp_path, How(rule=rule))
    assert not stops(settled)
    assert_masks_are_true(settled, rule)


def test_a_jpeg_of_value_1_marks_nothing_and_is_a_doubt(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.jpg", change=value_1)
    (doubt,) = stops(read_folder(tmp_path, AS_FOUND))
    assert doubt.startswith("3 masks of scratch mark nothing: masks/000.jpg")
    assert doubt.endswith("--mask-values 1")


def test_a_value_can_be_left_out_of_the_evaluation(tmp_path: Path) -> None:
    """255 around each object, as Pascal VOC has it."""

    def with_border(mask: Image.Image) -> Image.Image:
        drawn = value_1(mask)
        drawn.paste(255, (20, 0, 24, 24))
        return drawn

    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../SegmentationClass/{:03}.png", change=with_border)
    (doubt,) = stops(read_folder(tmp_path, AS_FOUND))
    assert doubt == "masks hold the labels 1, 255; 255 often means: not to be counted: --ignore-value 255"
    rule = MaskRule(ignore="255")
    settled = read_folder(tmp_path, How(rule=rule))
    assert not stops(settled)
    assert_masks_are_true(settled, rule)
