"""Each mode's stated meaning, checked on images made for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.decode import read_image, read_mask
from fastflow.errors import BadImage

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_sixteen_bit_grey_keeps_its_levels(tmp_path: Path) -> None:
    path = save(Image.fromarray(RAMP.astype(np.uint16) * 257), tmp_path / "deep.png")
    assert np.array_equal(read_image(path), np.stack([RAMP] * 3, axis=-1))


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "P"])
def test_opaque_modes_keep_grey_values(tmp_path: Path, mode: str) -> None:
    path = save(Image.fromarray(RAMP).convert(mode), tmp_path / "image.png")
    assert np.array_equal(read_image(path), np.stack([RAMP] * 3, axis=-1))


def test_one_bit_and_float_images(tmp_path: Path) -> None:
    bits = save(Image.fromarray(RAMP > 127), tmp_path / "bits.png")
    assert np.array_equal(read_image(bits)[..., 0], np.where(RAMP > 127, 255, 0))
    floats = save(Image.fromarray(RAMP.astype(np.float32) / 255), tmp_path / "floats.tiff")
    assert np.array_equal(read_image(floats)[..., 1], RAMP)


def test_transparent_pixels_become_black(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[..., 3] = np.array([0, 0, 255, 255])[:, None]
    image = read_image(save(Image.fromarray(pixels), tmp_path / "glass.png"))
    assert (image[:2] == 0).all()
    assert (image[2:] == 200).all()


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:5] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn 90 degrees clockwise to view
    lying = Image.fromarray(np.rot90(upright).copy())
    assert np.array_equal(read_image(save(lying, tmp_path / "turned.png", exif=exif)), upright)


def test_content_decides_the_format_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    bitmap = tmp_path / "really_a_bitmap.png"
    Image.fromarray(RAMP).save(bitmap, format="BMP")
    assert read_image(bitmap).shape == (16, 16, 3)
    gif = tmp_path / "gif.png"
    Image.fromarray(RAMP).save(gif, format="GIF")
    with pytest.raises(BadImage, match=r"gif.png: not an image of the formats PNG"):
        read_image(gif)


@pytest.mark.parametrize("kept", [0, 8, 60, 200])
def test_truncated_files_are_named(tmp_path: Path, kept: int) -> None:
    path = save(Image.effect_noise((64, 64), 50), tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadImage, match=r"cut\.png"):
        read_image(path)


def test_resizing_is_by_height_and_width(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (30, 20), (10, 200, 90)), tmp_path / "plain.png")
    image = read_image(path, image_size=(8, 12))
    assert image.shape == (8, 12, 3)
    assert (image == (10, 200, 90)).all()


MARKED = np.zeros((8, 8), bool)
MARKED[2:4, 3:6] = True


def channels(*values: float, rest: tuple[int, ...] = (), dtype: type = np.uint8) -> Image.Image:
    """An image with `values` where MARKED is true, and `rest`, or zeros, elsewhere."""
    pixels: np.ndarray = np.where(MARKED[..., None], values, rest or 0).astype(dtype)
    return Image.fromarray(pixels[..., 0] if len(values) == 1 else pixels)


def palette(*colours: int) -> Image.Image:
    image = Image.fromarray(MARKED.astype(np.uint8)).convert("P")
    image.putpalette(colours)
    return image


MASKS = {
    "one bit": (Image.fromarray(MARKED), "png"),
    "faint grey": (channels(1), "png"),
    "faint blue": (channels(0, 0, 1), "png"),
    "faint red": (channels(1, 0, 0), "png"),
    "label number of 16 bits": (channels(1, dtype=np.uint16), "png"),
    "label number of 32 bits": (channels(70_000, dtype=np.int32), "tiff"),
    "float": (channels(0.001, dtype=np.float32), "tiff"),
    "float above 1": (channels(7.0, dtype=np.float32), "tiff"),
    "palette, dark red": (palette(0, 0, 0, 1, 0, 0), "png"),
    "white drawn on transparent white": (channels(255, 255, 255, 255, rest=(255, 255, 255, 0)), "png"),
    "grey drawn on transparent white": (channels(255, 255, rest=(255, 0)), "png"),
    "lossless WEBP": (channels(1, 0, 0), "webp"),
}


@pytest.mark.parametrize("case", MASKS)
def test_a_mask_marks_what_shows_on_black(tmp_path: Path, case: str) -> None:
    image, suffix = MASKS[case]
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    assert np.array_equal(read_mask(save(image, tmp_path / f"mask.{suffix}", **options)), MARKED)


def test_a_mask_of_black_marks_nothing_whatever_its_palette_numbers_or_alpha(tmp_path: Path) -> None:
    assert not read_mask(save(palette(0, 0, 0, 0, 0, 0), tmp_path / "index.png")).any()
    assert not read_mask(save(channels(0, 0, 0, 255), tmp_path / "opaque.png")).any()


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_a_mask_without_meaning_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(BadImage, match=r"mask\.tiff: a mask with NaN or numbers below 0; allowed: 0"):
        read_mask(save(channels(value, dtype=np.float32), tmp_path / "mask.tiff"))


@pytest.mark.parametrize(("form", "options"), [("JPEG", {}), ("WEBP", {}), ("TIFF", {"compression": "jpeg"})])
def test_the_content_of_a_lossy_mask_decides_not_its_name(tmp_path: Path, form: str, options: dict[str, str]) -> None:
    """Around sharp edges lossy formats leave grey levels that nobody drew."""
    truth = np.zeros((64, 64), bool)
    truth[9:30, 13:22] = True
    path = save(
        Image.fromarray(truth.astype(np.uint8) * 255), tmp_path / "mask.png", format=form, quality=60, **options
    )
    assert not np.array_equal(read_image(path).max(axis=2) > 0, truth)
    assert np.array_equal(read_mask(path), truth)


def test_mask_is_by_area_and_a_thin_defect_survives(tmp_path: Path) -> None:
    block = np.zeros((64, 64), np.uint8)
    block[:32, :24] = 255
    small = read_mask(save(Image.fromarray(block), tmp_path / "block.png"), image_size=(8, 8))
    assert np.array_equal(small, np.arange(8)[None] < 3 * (np.arange(8)[:, None] < 4))
    hair = np.zeros((64, 64), np.uint8)
    hair[30] = 1
    thin = read_mask(save(Image.fromarray(hair), tmp_path / "hair.png"), image_size=(8, 8))
    assert np.array_equal(np.flatnonzero(thin.any(axis=1)), [3])
