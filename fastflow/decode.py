"""From an image file to pixels, written once: every reader of images goes through here.

Meaning of each mode, as 8-bit RGB: 1, L, P, RGB as they are (of 16 bits a colour, the upper 8); LA, PA, RGBA over
black; CMYK converted; 16-bit grey (I;16) and 32-bit integers (I) holding 16-bit values divided by 257; floats (F)
in 0..1 times 255. Values outside these ranges are refused, not clipped. EXIF rotation is applied. The file's content
decides its format, not its name. A damaged file is refused, never filled up.
"""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from fastflow.errors import BadData

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000
Source = Path | IO[bytes]


class BadImage(BadData):
    """A file that cannot be used as an image; the message names it and says why."""


def read_image(path: Source, *, image_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """RGB pixels (H, W, 3), 0..255; resized to `image_size` (height, width) by antialiased bilinear if given.

    Aspect ratio is not kept: the whole image becomes the whole input.

    Raises:
        BadImage: unreadable, truncated, too large, or of a mode without a stated meaning.
    """
    image = to_rgb(open_image(path), path)
    if image_size is not None and image.size != image_size[::-1]:
        image = image.resize(image_size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def read_mask(path: Source, *, image_size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Defect mask (H, W): any value above 0 is defect; resized by `resize_mask` if `image_size` is given.

    Raises:
        BadImage: as `read_image`.
    """
    mask = np.asarray(open_image(path).convert("L")) > 0
    return mask if image_size is None else resize_mask(mask, image_size)


def resize_mask(mask: NDArray[np.bool_], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at `image_size` (height, width), by area: a pixel is defect where at least half of it is.

    A region (8-connected) that would vanish keeps each pixel that it touches, so that no thin defect is lost.
    """
    if mask.shape == image_size:
        return mask
    resized = _coverage(mask, image_size) >= 0.5
    regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        touched = _coverage(regions == number, image_size) > 0
        if not (touched & resized).any():
            resized |= touched
    return resized


def _coverage(mask: NDArray[np.bool_], image_size: tuple[int, int]) -> NDArray[np.float32]:
    """Fraction 0..1 of each pixel of `image_size` that the mask covers."""
    area = Image.fromarray(mask.astype(np.float32)).resize(image_size[::-1], Image.Resampling.BOX)
    return np.asarray(area, np.float32)


def open_image(path: Source, *, name: object = None) -> Image.Image:
    """A decoded image of any mode, upright; `name` is what messages call it.

    Raises:
        BadImage: unreadable, truncated, of a foreign format, too large, or of several frames.
    """
    name = name or path
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadImage(f"{name}: {image.width}x{image.height} pixels, more than {MAX_PIXELS:,} allowed")
            # an MPO is a camera's JPEG with its preview behind it
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise BadImage(f"{name}: holds several frames; save the one that is meant as a file of its own")
            image.load()
            return ImageOps.exif_transpose(image)
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"{name}: not an image of the formats {', '.join(FORMATS)}") from error
    except Exception as error:  # on damaged bytes, decoders raise whatever comes: struct.error, KeyError, EOFError
        raise BadImage(f"{name}: cannot be read ({error}); restore the file or remove it") from error


def to_rgb(image: Image.Image, name: object) -> Image.Image:
    """A decoded image in RGB, each mode by its stated meaning.

    Raises:
        BadImage: a mode without meaning, or values outside its range.
    """
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _grey(np.asarray(image).astype(np.float64) / 65535, f"{name}: integers outside 0..65535")
    if image.mode == "F":
        return _grey(np.asarray(image), f"{name}: floats outside 0..1")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), rgba).convert("RGB")
    if image.mode in ("1", "L", "P", "RGB", "CMYK"):
        return image.convert("RGB")
    raise BadImage(f"{name}: mode {image.mode} has no stated meaning; convert it to 8-bit grey or RGB")


def _grey(fractions: NDArray[np.floating], complaint: str) -> Image.Image:
    """Fractions 0..1 to grey; NaN is outside."""
    if not (fractions.min() >= 0 and fractions.max() <= 1):
        raise BadImage(f"{complaint}; rescale the image")
    return Image.fromarray(np.rint(fractions * 255).astype(np.uint8)).convert("RGB")
