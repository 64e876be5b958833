"""From an image file to pixels, written once: every reader of images goes through here.

Meaning of each mode: 1, L, P, RGB as they are; LA, PA, RGBA over black; CMYK converted; 16-bit grey (I;16) and
32-bit integers holding 16-bit values divided by 257; floats (F) in 0..1 times 255. EXIF rotation is applied.
The file's content decides its format, not its name.
"""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

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
    image = _to_rgb(_open(path), path)
    if image_size is not None and image.size != image_size[::-1]:
        image = image.resize(image_size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def read_mask(path: Source, *, image_size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Defect mask (H, W): any value above 0 is defect.

    Resized by area: a pixel is defect where at least half of it is; a mask that would vanish keeps each pixel
    that is touched at all, so that a thin defect is not lost.

    Raises:
        BadImage: as `read_image`.
    """
    mask = np.asarray(_open(path).convert("L")) > 0
    if image_size is None or mask.shape == image_size:
        return mask
    area = Image.fromarray(mask.astype(np.float32)).resize(image_size[::-1], Image.Resampling.BOX)
    coverage = np.asarray(area)
    resized = coverage >= 0.5
    return resized if resized.any() else coverage > 0


def _open(path: Source) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadImage(f"{path}: {image.width}x{image.height} pixels, more than {MAX_PIXELS:,} allowed")
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise BadImage(f"{path}: not an image of the formats {', '.join(FORMATS)}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"{path}: cannot be read ({error}); restore the file or remove it") from error


def _to_rgb(image: Image.Image, path: Source) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _grey(np.asarray(image).astype(np.float64) / 257)
    if image.mode == "F":
        return _grey(np.asarray(image) * 255.0)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), rgba).convert("RGB")
    if image.mode in ("1", "L", "P", "RGB", "CMYK"):
        return image.convert("RGB")
    raise BadImage(f"{path}: mode {image.mode} has no stated meaning; convert it to 8-bit grey or RGB")


def _grey(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")
