"""From an image file to pixels, written once: every reader of images goes through here.

Meaning of each mode, as 8-bit RGB: 1, L, P, RGB as they are (of 16 bits a colour, the upper 8); LA, PA, RGBA over
black; CMYK converted; 16-bit grey (I;16) and 32-bit integers (I) holding 16-bit values divided by 257; floats (F)
in 0..1 times 255. Values outside these ranges are refused, not clipped. EXIF rotation is applied. The file's content
decides its format, not its name. A damaged file is refused, never filled up.

A mask's pixel is defect where any channel of that meaning is above 0 (of a palette, its colour's; of integers and
floats, the number itself: label numbers are masks); in a lossy file, whose zeros are not exact, from 128. In a mask of
0, 128 and 255 alone, as `fastflow.arrange` writes them, 128 is left out of the evaluation.
"""

import io
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from fastflow.errors import BadImage
from fastflow.files import walk

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000
IGNORED, DEFECT = 128, 255  # of a mask that leaves pixels out
LOSSY_DEFECT = 128  # the lowest defective level of a mask in a lossy file
Source = Path | IO[bytes]


class Sent(io.BytesIO):
    """The bytes of an image file, by a name that error messages can use."""

    def __str__(self) -> str:
        return "the image"


def image_files(folder: Path) -> list[Path]:
    """The files in a folder and below it that are images by their names, sorted, without what systems leave behind."""
    return sorted(path for path in walk(folder) if path.suffix.lower() in SUFFIXES and path.is_file())


def read_image(path: Source, *, image_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """RGB pixels (H, W, 3), 0..255; resized to `image_size` (height, width) by antialiased bilinear if given.

    Aspect ratio is not kept: the whole image becomes the whole input.

    Raises:
        BadImage: unreadable, truncated, too large, or of a mode without a stated meaning.
    """
    image = to_rgb(open_image(path), path)
    return np.asarray(image) if image_size is None else fitted(image, image_size)


def fitted(image: Image.Image, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixels of an RGB image at `image_size` (height, width)."""
    if image.size != image_size[::-1]:
        image = image.resize(image_size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def read_mask(path: Source, *, image_size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Defect mask (H, W) by `is_defect`; resized by `resize_mask` if `image_size` is given. Where pixels are left out
    (`is_ignored`) it is a masked array, which hides them.

    Raises:
        BadImage: as `read_image`, and a mask with NaN or a number below 0.
    """
    image = open_image(path)
    levels = mask_levels(image, path)
    defect, ignored = is_defect(image, levels), is_ignored(image, levels)
    if image_size is not None:
        size, defect = defect.shape, resize_mask(defect, image_size)
        ignored = ignored if size == image_size else _coverage(ignored, image_size) >= 0.5
    return np.ma.array(defect, mask=ignored & ~defect) if ignored.any() else defect


def resize_mask(mask: NDArray[np.bool_], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at `image_size` (height, width), by area: a pixel is defect where at least half of it is.

    A region (8-connected) that would vanish keeps each pixel that it touches, so that no thin defect is lost.
    """
    if mask.shape == image_size:
        return mask
    resized = _coverage(mask, image_size) >= 0.5
    regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
    (rows, from_rows), (columns, from_columns) = map(_reads, mask.shape, image_size)
    spread = regions[np.ix_(from_rows, from_columns)].ravel()
    pixels = np.flatnonzero(spread)
    pixels = pixels[np.argsort(spread[pixels], kind="stable")]  # region by region
    starts = np.searchsorted(spread[pixels], np.arange(2, count + 1))
    for part in np.split(pixels, starts):
        touched = rows[part // len(columns)], columns[part % len(columns)]
        if not resized[touched].any():
            resized[touched] = True
    return resized


def _reads(size: int, new_size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of one axis: pairs of a resized pixel and a pixel that `_coverage` reads for it.

    Asked of Pillow, whose rounding decides ties: each row of the probe marks every `period`-th pixel, and no resized
    pixel reads as many as `period`.
    """
    period = -(-size // new_size) + 3
    probe = np.arange(size) % period == np.arange(period)[:, None]
    remainder, new = np.nonzero(_coverage(probe, (period, new_size)))
    lowest = new * size // new_size - 1
    return new, lowest + (remainder - lowest) % period


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
            upright = ImageOps.exif_transpose(image)
            upright.info["lossy"] = _is_lossy(image, path)
            return upright
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


def mask_levels(image: Image.Image, name: object) -> NDArray[Any]:
    """The greatest channel of each pixel (H, W) of a decoded mask; integers and floats as they are.

    Raises:
        BadImage: a mode without meaning, NaN, or a number below 0.
    """
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))  # by far the most, at a fifth of the cost
    if image.mode not in ("I;16", "I;16B", "I;16L", "I", "F"):
        return np.asarray(np.asarray(to_rgb(image, name)).max(axis=2))
    numbers = np.asarray(image)
    if not numbers.min() >= 0:  # NaN neither
        raise BadImage(f"{name}: a mask with NaN or numbers below 0; allowed: 0 for good, above for defect; redraw it")
    return numbers


def is_defect(image: Image.Image, levels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a decoded mask with these levels marks a defect."""
    defect = np.asarray(levels >= LOSSY_DEFECT if image.info["lossy"] else levels > 0)
    ignored = is_ignored(image, levels)
    return defect & ~ignored if ignored.any() else defect


def is_ignored(image: Image.Image, levels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a decoded mask with these levels leaves pixels out of the evaluation."""
    middle = np.asarray(levels == IGNORED)
    if image.info["lossy"] or image.mode != "L" or not middle.any():
        return np.zeros(levels.shape, bool)
    alone = middle | (levels == 0) | (levels == DEFECT)
    return middle if alone.all() else np.zeros(levels.shape, bool)


def _is_lossy(image: Image.Image, source: Source) -> bool:
    if image.format != "WEBP":
        return image.format in ("JPEG", "MPO") or "jpeg" in str(image.info.get("compression"))
    if not isinstance(source, Path):
        source.seek(0)
    content = source.read_bytes() if isinstance(source, Path) else source.read()
    return b"VP8L" not in content


def _grey(fractions: NDArray[np.floating], complaint: str) -> Image.Image:
    """Fractions 0..1 to grey; NaN is outside."""
    if not (fractions.min() >= 0 and fractions.max() <= 1):
        raise BadImage(f"{complaint}; rescale the image")
    return Image.fromarray(np.rint(fractions * 255).astype(np.uint8)).convert("RGB")
