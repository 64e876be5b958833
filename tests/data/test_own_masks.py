"""A mask means the same in any form; one that could mean two things is a doubt."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fastflow.marks import MaskRule
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import assert_masks_are_true, bad, good, stops


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
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
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
    change, message, option, rule = DOUBTFUL[form]
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.png", change=change)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert option in doubt.rpartition(": ")[2]
    assert re.match(message, doubt)
    settled = read_folder(tmp_path, ReadingOptions(rule=rule))
    assert not stops(settled)
    assert_masks_are_true(settled, rule)


def test_a_jpeg_of_value_1_marks_nothing_and_is_a_doubt(tmp_path: Path) -> None:
    good(tmp_path / "good")
    bad(tmp_path / "scratch", masks="../masks/{:03}.jpg", change=value_1)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
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
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt == "masks hold the labels 1, 255; 255 often means: not to be counted: --ignore-value 255"
    rule = MaskRule(ignore="255")
    settled = read_folder(tmp_path, ReadingOptions(rule=rule))
    assert not stops(settled)
    assert_masks_are_true(settled, rule)
