"""Thumbnails of images as they are compared: of files decoded in part against whole ones."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fastflow.pixels.luminance import draft_luminance, in_file
from pipelines.data.checks.pictures import inspect_image, small_grey

SIZES = [(128, 128), (700, 700), (501, 1270), (97, 40), (33, 800)]  # width, height
TOLERANCE_GREY_LEVELS = 0.7  # root mean square; two pictures count as nearly the same from 1.0 down


def picture(width: int, height: int) -> Image.Image:
    """Smooth shapes, as of a photograph, with all grey levels."""
    noise = np.random.default_rng(width).integers(0, 256, (height // 24 + 2, width // 24 + 2, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(3))


def of_whole(image: Image.Image) -> NDArray[np.float64]:
    """The thumbnail from all pixels at once, by Pillow in floating point."""
    grey = Image.fromarray(np.asarray(image.convert("L"), np.float32))
    return np.asarray(grey.resize((32, 32), Image.Resampling.HAMMING), np.float64).ravel()


def rms(a: NDArray[Any] | None, b: NDArray[Any] | None) -> float:
    assert a is not None
    assert b is not None
    return float(np.sqrt(np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.mark.parametrize("size", SIZES)
def test_a_thumbnail_is_that_of_all_pixels(size: tuple[int, int]) -> None:
    assert rms(small_grey(picture(*size)), of_whole(picture(*size))) < TOLERANCE_GREY_LEVELS


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_decoded_in_part_has_the_thumbnail_of_the_whole(size: tuple[int, int], mode: str) -> None:
    content = io.BytesIO()
    picture(*size).convert(mode).save(content, "JPEG", quality=90)
    reduced = Image.open(content)
    draft_luminance(reduced, 128)
    reduced.load()
    assert in_file(reduced) == (mode, size[::-1])
    if min(size) >= 256:
        assert reduced.width < size[0], "nothing is saved"
    assert rms(small_grey(reduced), of_whole(Image.open(content))) < TOLERANCE_GREY_LEVELS


def test_size_and_mode_are_those_of_the_file(tmp_path: Path) -> None:
    image = picture(700, 500)
    image.save(tmp_path / "a.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by a quarter
    image.save(tmp_path / "turned.jpg", exif=turned)
    image.save(tmp_path / "a.png")
    facts = {path.name: inspect_image(tmp_path, path.name, "") for path in tmp_path.iterdir()}
    assert {name: (fact.mode, fact.size, fact.findings) for name, fact in facts.items()} == {
        "a.jpg": ("RGB", (500, 700), []),
        "turned.jpg": ("RGB", (700, 500), []),
        "a.png": ("RGB", (500, 700), []),
    }
    small = {name: fact.thumbnail for name, fact in facts.items()}
    assert rms(small["a.jpg"], small["a.png"]) < TOLERANCE_GREY_LEVELS
    quarter = np.rot90(np.asarray(small["a.png"]).reshape(32, 32), -1).ravel()
    assert rms(small["turned.jpg"], quarter) < TOLERANCE_GREY_LEVELS


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_jpeg_that_is_cut_off_is_found(kept: float, tmp_path: Path) -> None:
    picture(700, 500).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: int(len(content) * kept)])
    (found,) = inspect_image(tmp_path, "a.jpg", "").findings
    assert found.kind == "unreadable"
