"""Each odd file is the picture that was drawn into it, or is refused with a sentence that says what to do."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import AS_MEANT, read_image
from fastflow.errors import BadImage
from fastflow.frame import Frame, picture_shape, range_of_files, read_framed
from fastflow.marks import upright_size
from fastflow.pixels.depth import common_range
from fastflow.pixels.meaning import PLAIN, Depth, PixelRule
from tests.conftest import tiny_config
from tests.fastflow.odd_files import (
    FRACTION,
    LOSSY,
    RAMP,
    RAMPS,
    REFUSED,
    RGB,
    SIDE,
    TURNED,
    TWELVE,
    palette,
    png,
    saved,
    stacked,
    tiff,
    turned,
    write,
)

WANTED = np.rint(FRACTION * 255)[..., None]


def as_data_set(path: Path) -> NDArray[np.uint8]:
    """The pixels of a file that is a data set of its own."""
    return read_image(path, rule=AS_MEANT._replace(value_range=range_of_files([path], AS_MEANT)))


@pytest.mark.parametrize("name", RAMPS)
def test_a_ramp_is_a_ramp(tmp_path: Path, name: str) -> None:
    pixels = as_data_set(write(RAMPS[name](), tmp_path / name))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.abs(pixels - WANTED).max() <= 1
    assert len(np.unique(pixels)) == SIDE
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_ramp_is_nearly_one(tmp_path: Path, name: str) -> None:
    assert np.abs(as_data_set(write(LOSSY[name](), tmp_path / name)) - WANTED).max() <= 4


@pytest.mark.parametrize("name", TURNED)
def test_what_lies_on_its_side_is_upright(tmp_path: Path, name: str) -> None:
    path = write(TURNED[name](), tmp_path / name)
    assert np.array_equal(as_data_set(path), np.rot90(RGB[: SIDE // 2], -1))
    assert picture_shape(path) == (SIDE, SIDE // 2)
    assert upright_size(path) == (SIDE // 2, SIDE)


def test_deep_colours_are_turned_with_both_their_bytes(tmp_path: Path) -> None:
    chunk = (b"eXIf", turned(6).tobytes().removeprefix(b"Exif\0\0"))
    path = write(png(stacked(TWELVE, TWELVE, TWELVE), bits=16, kind=2, chunks=(chunk,)), tmp_path / "turned.png")
    assert np.abs(as_data_set(path) - np.rot90(WANTED, -1)).max() <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_one_meaning_is_refused_with_the_cure(tmp_path: Path, name: str) -> None:
    draw, sentence = REFUSED[name]
    with pytest.raises(BadImage, match=rf"{name}.*: .*{sentence}"):
        as_data_set(write(draw(), tmp_path / name))


@pytest.mark.parametrize(("name", "limits"), [("f32_255.tif", (0.0, 255.0)), ("s16_neg.tif", (-32768.0, 32767.0))])
def test_a_stated_range_is_black_and_white(tmp_path: Path, name: str, limits: tuple[float, float]) -> None:
    path = write(REFUSED[name][0](), tmp_path / name)
    pixels = read_image(path, rule=PixelRule(limits))
    assert np.abs(pixels - WANTED).max() <= 1
    low, high = limits
    narrow = read_image(path, rule=PixelRule((low + (high - low) / 4, high - (high - low) / 4)))
    assert np.abs(narrow - np.rint((FRACTION * 2 - 0.5).clip(0, 1) * 255)[..., None]).max() <= 2


def test_a_page_is_the_one_that_is_named(tmp_path: Path) -> None:
    path = write(REFUSED["two_pages.tif"][0](), tmp_path / "two_pages.tif")
    assert np.array_equal(read_image(path, rule=PixelRule(page=1)), RGB)
    assert np.array_equal(read_image(path, rule=PixelRule(page=2)), np.full((6, 8, 3), (255, 0, 0)))
    assert picture_shape(path, PixelRule(page=2)) == (6, 8)
    assert read_framed(path, Frame(32, 32, None, PixelRule(page=2))).shape == (6, 8)
    with pytest.raises(BadImage, match="has no page 3; restore"):
        read_image(path, rule=PixelRule(page=3))
    single = write(saved(Image.fromarray(RGB), "PNG"), tmp_path / "single.png")
    assert np.array_equal(read_image(single, rule=PixelRule(page=2)), RGB)  # a format without pages
    with pytest.raises(BadImage, match="has no page 2; restore"):
        read_image(write(saved(Image.fromarray(RGB), "TIFF"), tmp_path / "one.tif"), rule=PixelRule(page=2))


def test_palettes_and_a_transparent_grey(tmp_path: Path) -> None:
    index = (RAMP >> 4).astype(int)
    colours = np.stack([index * 17, index * 0, 255 - index * 17], axis=2)
    assert np.array_equal(as_data_set(write(palette(clear=False), tmp_path / "palette.png")), colours)
    over_black = np.where(index[..., None] == 0, 0, colours)
    assert np.array_equal(as_data_set(write(palette(clear=True), tmp_path / "palette_trns.png")), over_black)
    clear = png(RAMP, bits=8, kind=0, chunks=((b"tRNS", b"\0\xff"),))
    assert np.array_equal(
        as_data_set(write(clear, tmp_path / "grey_trns_white.png"))[..., 0], np.where(RAMP == 255, 0, RAMP)
    )
    nibbles = ((RAMP[:, 0::2] >> 4) << 4 | RAMP[:, 1::2] >> 4).tobytes()
    four = as_data_set(write(tiff(nibbles, bits=4), tmp_path / "b4_grey.tif"))
    assert np.array_equal(four[..., 0], (RAMP >> 4) * 17)


def test_alpha_that_hides_a_part_still_does(tmp_path: Path) -> None:
    pixels = np.dstack([RGB, np.where(FRACTION < 0.5, 0, 255).astype(np.uint8)])
    path = write(saved(Image.fromarray(pixels), "PNG"), tmp_path / "half.png")
    assert np.array_equal(read_image(path)[..., 0], np.where(FRACTION < 0.5, 0, RAMP))


@pytest.mark.parametrize(
    ("highest", "white"),
    [([200], 255), ([900, 1023], 1023), ([1024], 4095), ([4095, 10], 4095), ([9000], 16383), ([30000], None)],
)
def test_the_deepest_image_decides_for_all(highest: list[int], white: float | None) -> None:
    depths = [Depth(0, high, 65535, known=False, signed=False) for high in highest]
    assert common_range(depths) == (None if white is None else (0, white))


def test_old_models_read_as_they_did(tmp_path: Path) -> None:
    """As at 7b84cfd: alpha that nobody set is black, of 16 bits 65535 is white, of floats 1."""
    for name, right in {"alpha0.png": 0, "alpha1.png": 1, "mono12_in16.png": 16, "s16.tif": 127, "rgb16_12bit.png": 15,
                        "grey16.png": 255, "u32_small.tif": 255, "f32_1.tif": 255}.items():  # fmt: skip
        assert read_image(write(RAMPS[name](), tmp_path / name), rule=PLAIN)[0, -1, 0] == right, name


def test_a_rule_is_read_from_json_as_it_was_written() -> None:
    config = dataclasses.replace(tiny_config(), value_range=(0.0, 4095.0), page=2, decoding=2)
    again = type(config).from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.rule == PixelRule((0.0, 4095.0), 2)
    old = {key: value for key, value in config.to_dict().items() if key not in ("value_range", "page", "decoding")}
    assert type(config).from_dict(old).rule == PLAIN
