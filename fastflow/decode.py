"""From an image file to pixels: every reader of images uses this module.

`fastflow.pixels.meaning` says what values mean as 8-bit RGB. EXIF rotation is applied. The file's content decides its
format, not its name. A damaged file is refused, never filled up. Of several pages `PixelRule.page` is read.

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

from fastflow.errors import BadImage
from fastflow.files import walk
from fastflow.pixels.jpeg import MAX_SCANS, has_too_many_scans, jpeg_fault
from fastflow.pixels.luminance import draft_luminance
from fastflow.pixels.mask_size import coverage, resize_mask
from fastflow.pixels.meaning import NUMBERS, PLAIN, PixelRule, to_rgb
from fastflow.pixels.pages import turn_to
from fastflow.pixels.picture import Picture
from fastflow.pixels.samples import load_lower_bytes, samples_of, unsupported_tiff
from fastflow.pixels.tiff import checkable_tags, tiff_fault

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000
TOO_MANY_PIXELS = f", more than {MAX_PIXELS:,} allowed; save it smaller, or in parts"
IGNORED, DEFECT = 128, 255  # of a mask that leaves pixels out
LOSSY_DEFECT_LEVEL = 128  # the lowest defective level of a mask in a lossy file
READ_TIFF = "integers of 8 or 16 bits, or floats of 32"
AS_MEANT = PixelRule()  # the default
Source = Path | IO[bytes]
Given = Source | Picture
"""What a picture is read from: an image file, or one in memory."""


class NamedBytes(io.BytesIO):
    """The bytes of an image file, with a name for error messages."""

    def __init__(self, content: bytes = b"", name: str = "the image") -> None:
        super().__init__(content)
        self.called = name

    def __str__(self) -> str:
        return self.called


def image_files(folder: Path) -> list[Path]:
    """The files in a folder and below it that are images by their names, sorted, without what systems leave behind."""
    return sorted(path for path in walk(folder) if path.suffix.lower() in SUFFIXES and path.is_file())


def read_image(
    path: Source, *, image_size: tuple[int, int] | None = None, rule: PixelRule = AS_MEANT
) -> NDArray[np.uint8]:
    """RGB pixels (H, W, 3), 0..255; resized to `image_size` (height, width) by antialiased bilinear if given.

    Aspect ratio is not kept: the whole image becomes the whole input.

    Raises:
        BadImage: unreadable, truncated, too large, or of a mode without a stated meaning.
    """
    image = read_rgb(path, rule)
    return np.asarray(image) if image_size is None else fitted(image, image_size)


def read_rgb(path: Given, rule: PixelRule) -> Image.Image:
    """An image in RGB. Raises BadImage as `read_image`."""
    image = path.image if isinstance(path, Picture) else open_image(path, rule=rule)
    return to_rgb(image, path, rule)


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
        ignored = ignored if size == image_size else coverage(ignored, image_size) >= 0.5
    return np.ma.array(defect, mask=ignored & ~defect) if ignored.any() else defect


def open_image(
    path: Source, *, name: object = None, rule: PixelRule = PLAIN, luminance: int | None = None
) -> Image.Image:
    """A decoded image of any mode, upright, for `fastflow.pixels.meaning.to_rgb`; `name` is what messages call it.

    `luminance`: with a number of pixels, JPEGs come as `fastflow.pixels.luminance.draft_luminance` says.

    Raises:
        BadImage: unreadable, truncated, of a foreign format, too large, or of several pages where none is named.
    """
    name = name or path
    try:
        with Image.open(path, formats=FORMATS) as image:
            turn_to(image, rule, name)
            if image.width * image.height > MAX_PIXELS:
                raise BadImage(f"{name}: {image.width}x{image.height} pixels{TOO_MANY_PIXELS}")
            samples = samples_of(image)
            if luminance:
                draft_luminance(image, luminance)
            tags = checkable_tags(image)
            content = _content(path) if tags or image.format in ("JPEG", "MPO") else b""
            if not tags and has_too_many_scans(content):
                raise BadImage(f"{name}: a JPEG of more than {MAX_SCANS} scans; save it anew")
            image.load()
            fault = tiff_fault(tags, content) if tags else jpeg_fault(content) if content else ""
            if fault:
                raise BadImage(f"{name}: is damaged ({fault}); restore the file or remove it")
            upright = ImageOps.exif_transpose(image)
            upright.info |= {"lossy": _is_lossy(image, path), "samples": samples}
        if samples.halved and rule.value_range:
            upright.info["lower"] = _lower_bytes(path, rule, name)
        return upright
    except (BadImage, MemoryError):  # a lack of memory says nothing of the file
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, above ours
        raise BadImage(f"{name}: too many pixels{TOO_MANY_PIXELS}") from error
    except UnidentifiedImageError as error:
        found = _unsupported_tiff(path)
        if found:
            raise BadImage(f"{name}: {found}, which is not read; save it as {READ_TIFF}") from error
        raise BadImage(f"{name}: not an image of the formats {', '.join(FORMATS)}") from error
    except Exception as error:  # on damaged bytes, decoders raise anything: struct.error, KeyError, EOFError
        raise BadImage(f"{name}: cannot be read ({error}); restore the file or remove it") from error


def _content(path: Source) -> bytes:
    if isinstance(path, Path):
        return path.read_bytes()
    place = path.tell()
    path.seek(0)
    content = path.read()
    path.seek(place)  # Pillow goes on from there
    return content


def _lower_bytes(path: Source, rule: PixelRule, name: object) -> Image.Image:
    if not isinstance(path, Path):
        path.seek(0)
    with Image.open(path, formats=FORMATS) as image:
        turn_to(image, rule, name)
        return load_lower_bytes(image)


def _unsupported_tiff(source: Source) -> str:
    """What a TIFF holds that is not read; empty for any other file."""
    try:
        content = io.BytesIO(source.read_bytes()) if isinstance(source, Path) else source
        content.seek(0)
        return unsupported_tiff(content.read(8), content)
    except Exception:  # damaged, and so no TIFF either
        return ""


def mask_levels(image: Image.Image, name: object) -> NDArray[Any]:
    """The greatest channel of each pixel (H, W) of a decoded mask; integers and floats as they are.

    Raises:
        BadImage: a mode without meaning, NaN, or a number below 0.
    """
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))  # by far the most, at a fifth of the cost
    if image.mode not in NUMBERS:
        return np.asarray(np.asarray(to_rgb(image, name)).max(axis=2))
    numbers = np.asarray(image)
    if not numbers.min() >= 0:  # NaN neither
        raise BadImage(f"{name}: a mask with NaN or numbers below 0; allowed: 0 for good, above for defect; redraw it")
    return numbers


def is_defect(image: Image.Image, levels: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a decoded mask with these levels marks a defect."""
    defect = np.asarray(levels >= LOSSY_DEFECT_LEVEL if image.info["lossy"] else levels > 0)
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
