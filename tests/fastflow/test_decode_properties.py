"""Decoding over modes, depths, sizes and damage: 8-bit RGB of the right shape and value, or a BadImage by name."""

import io
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from fastflow.decode import open_image, read_image, read_mask
from fastflow.errors import BadImage
from fastflow.evaluation import score_images
from fastflow.maps import resize_map
from fastflow.model import FastFlow
from fastflow.pixels.mask_size import _reads, coverage, resize_mask
from tests.conftest import detector_of, draw_square

SIZES = [(1, 1), (1, 7), (3, 5000), (5000, 3), (2, 2), (37, 61)]
MODES = {"1": "png", "L": "png", "LA": "png", "P": "png", "RGB": "png", "RGBA": "png", "CMYK": "tiff"}
MODES |= {"I;16": "png", "I": "tiff", "F": "tiff"}


def grey(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def as_mode(levels: np.ndarray, mode: str) -> tuple[Image.Image, np.ndarray]:
    """An image of a mode that means these grey levels, and the levels that it can mean."""
    if mode == "1":
        return Image.fromarray(levels > 127), np.where(levels > 127, 255, 0)
    if mode == "I;16":
        return Image.fromarray(levels.astype(np.uint16) * 257), levels
    if mode == "I":
        return Image.fromarray(levels.astype(np.int32) * 257), levels
    if mode == "F":
        return Image.fromarray(levels.astype(np.float32) / 255), levels
    return Image.fromarray(levels).convert(mode), levels


def stream(image: Image.Image, form: str, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    buffer.seek(0)
    return buffer


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MODES)), st.sampled_from(SIZES), st.integers(0, 1000))
def test_every_mode_and_size_keeps_its_grey_levels(mode: str, size: tuple[int, int], seed: int) -> None:
    image, levels = as_mode(grey(size, seed), mode)
    decoded = read_image(stream(image, MODES[mode]))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, np.repeat(levels[..., None], 3, axis=2))
    assert read_image(stream(image, MODES[mode]), image_size=(8, 6)).shape == (8, 6, 3)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["png", "jpeg", "bmp", "tiff", "webp"]), st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_file_is_an_image_or_a_bad_image_and_nothing_else(form: str, where: int, flip: int) -> None:
    content = bytearray(stream(Image.fromarray(grey((24, 31), 1)), form).getvalue())
    content[where % len(content)] ^= flip
    for damaged in (bytes(content), bytes(content[: where % len(content)])):
        with suppress(BadImage):
            assert read_image(io.BytesIO(damaged)).dtype == np.uint8


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["png", "jpeg", "tiff", "webp"])
def test_every_exif_orientation_equals_upright(form: str, turn: int) -> None:
    """By the definition of EXIF: what is stored, and how to turn it to see it upright."""
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255
    upright[8:, 16:] = (255, 0, 0)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(upright, 3),
    }[turn]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"quality": 100, "subsampling": 0} if form == "jpeg" else {"lossless": True} if form == "webp" else {}
    turned = read_image(stream(Image.fromarray(stored.copy()), form, exif=exif, **options))
    assert turned.shape == upright.shape
    assert np.abs(turned.astype(int) - upright).max() <= (3 if form == "jpeg" else 0)


def test_sixteen_bits_score_as_eight_and_a_turned_image_as_upright(tmp_path: Path, tiny_model: FastFlow) -> None:
    paths: dict[str, list[Path]] = {"eight": [], "sixteen": [], "turned": []}
    exif = Image.Exif()
    exif[0x0112] = 6
    for seed in range(4):
        levels = draw_square(seed=seed, defect=seed > 1)[0][..., 0]
        for kind, image, options in (
            ("eight", Image.fromarray(levels), {}),
            ("sixteen", Image.fromarray(levels.astype(np.uint16) * 257), {}),
            ("turned", Image.fromarray(np.rot90(levels).copy()), {"exif": exif}),
        ):
            path = tmp_path / f"{kind}{seed}.png"
            image.save(path, **options)  # type: ignore[arg-type]
            paths[kind].append(path)
    tiny_model.eval()
    detector = detector_of(tiny_model)
    scores = {kind: score_images(detector, files, batch_size=2).pred_score for kind, files in paths.items()}
    assert scores["eight"].std() > 1e-3
    np.testing.assert_allclose(scores["sixteen"], scores["eight"], atol=1e-3, rtol=0)
    np.testing.assert_allclose(scores["turned"], scores["eight"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("values", [[-1, 0], [0, 65536]])
def test_integers_beyond_sixteen_bits_are_refused_not_clipped(values: list[int]) -> None:
    image = Image.fromarray(np.array([values], np.int32))
    with pytest.raises(
        BadImage, match=r"integers from .+, outside 0\.\.65535; state what is black and white: --value-r"
    ):
        read_image(stream(image, "tiff"))


@pytest.mark.parametrize("values", [[0.0, 1.5], [-0.1, 1.0], [np.nan, 0.5]])
def test_floats_beyond_the_unit_interval_are_refused_not_clipped(values: list[float]) -> None:
    sentence = "holds NaN; fill it" if np.isnan(values[0]) else r"floats from .+, outside 0\.\.1; state what is black"
    with pytest.raises(BadImage, match=sentence):
        read_image(stream(Image.fromarray(np.array([values], np.float32)), "tiff"))


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(grey((8, 8), seed)) for seed in range(3)]
    frames[0].save(tmp_path / "pages.tiff", save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match=r"pages\.tiff: holds several pages or frames; say which one counts"):
        read_image(tmp_path / "pages.tiff")


def test_more_pixels_than_the_cap_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    assert path.stat().st_size < 200_000
    with pytest.raises(BadImage, match=r"bomb\.png"):
        open_image(path)


def test_each_thin_region_survives_beside_a_large_one() -> None:
    mask = np.zeros((64, 64), bool)
    mask[8:40, 8:32] = True
    mask[50, 3:60] = True
    mask[60, 60] = True
    small = resize_mask(mask, (8, 8))
    assert small[1:5, 1:4].all()
    assert small[6].sum() == 8
    assert small[7, 7]
    assert small.sum() == 4 * 3 + 8 + 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.tuples(st.integers(1, 90), st.integers(1, 90)), st.floats(0.001, 0.2))
def test_no_mask_ever_vanishes_and_resizing_follows_area(seed: int, size: tuple[int, int], density: float) -> None:
    mask = np.random.default_rng(seed).random((40, 56)) < density
    assert resize_mask(mask, size).any() == mask.any()
    assert np.array_equal(resize_mask(np.ones((40, 56), bool), size), np.ones(size, bool))


def by_definition(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`resize_mask` as it is said: a look at the whole image for each region."""
    resized = coverage(mask, size) >= 0.5
    regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        touched = coverage(regions == number, size) > 0
        if not (touched & resized).any():
            resized |= touched
    return resized


SIDES = st.tuples(st.integers(1, 70), st.integers(1, 70))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1000), SIDES, SIDES, st.sampled_from([0.01, 0.05, 0.3, 1.0]))
def test_resizing_is_the_definition(seed: int, size: tuple[int, int], new: tuple[int, int], density: float) -> None:
    mask = np.random.default_rng(seed).random(size) < density
    assert np.array_equal(resize_mask(mask, new), by_definition(mask, new) if size != new else mask)


def test_ten_thousand_regions_cost_what_their_pixels_cost() -> None:
    mask = np.zeros((1024, 1024), bool)
    mask[::10, ::10] = True
    start = time.process_time()
    small = resize_mask(mask, (256, 256))
    assert small.sum() == 103 * 103
    assert time.process_time() - start < 5  # a look at the image for each region would be 40


def test_a_mask_and_a_map_come_back_at_the_size_of_the_image(tmp_path: Path) -> None:
    Image.fromarray(grey((30, 20), 2)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", image_size=(5, 7)).shape == (5, 7)
    small = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    by_pillow = Image.fromarray(small).resize((45, 24), Image.Resampling.BILINEAR)
    ours = resize_map(small, (24, 45))
    assert ours == pytest.approx(np.asarray(by_pillow), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 300))
def test_a_resized_pixel_reads_what_pillow_reads(size: int, new_size: int) -> None:
    """Each row of the probe marks one pixel; where Pillow's mean is above 0, it was read."""
    probe = Image.fromarray(np.eye(size, dtype=np.float32))
    pixel, new = np.nonzero(np.asarray(probe.resize((new_size, size), Image.Resampling.BOX)))
    assert set(zip(*(one.tolist() for one in _reads(size, new_size)), strict=True)) == set(
        zip(new.tolist(), pixel.tolist(), strict=True)
    )


def test_a_mask_of_a_strange_shape_takes_no_more_memory_than_its_pixels() -> None:
    """A TIFF of 16 KB that stated 64 x 1,500,000 took all of the machine's: size by size over the new size."""
    mask = np.zeros((1_500_000, 2), bool)
    mask[1_000_000, 1] = True
    resized = resize_mask(mask, (9, 7))
    assert np.argwhere(resized).tolist() == [[6, column] for column in range(3, 7)]
