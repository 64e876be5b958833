"""Masks as users draw and export them, to one form: 0 good, 255 defect, 128 left out of the evaluation.

What marks a defect, in this order: transparency that differs from pixel to pixel (a brush on an empty layer); of a
palette or of label numbers, any index but 0; of greys and colours, any level above 0, but in a lossy file from 128, and
where greys are only the soft edges between 0 and the highest level, from half of that.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fastflow.decode import DEFECT, IGNORED, LOSSY_DEFECT_LEVEL, open_image
from fastflow.pixels.meaning import NUMBERS, to_rgb
from fastflow.pixels.samples import is_turned

SOFT_WIDTH_PIXELS = 5  # an edge's greys lie within this distance of both its sides
SOFT_FRACTION = 0.95
VALUE = re.compile(r"\d{1,5}|#[0-9a-f]{6}", re.IGNORECASE)
Marks = NDArray[np.uint8]


class MaskRule(NamedTuple):
    """`values`: label numbers, grey levels or #rrggbb that are defect, none of them: as above. `ignore`: one such value
    that is neither. `inverted`: what would be defect is good, and the other way round."""

    inverted: bool = False
    values: tuple[str, ...] = ()
    ignore: str | None = None


def check_rule(rule: MaskRule) -> None:
    """Raises ValueError where a value is no number and no colour."""
    for value in filter(None, (*rule.values, rule.ignore)):
        if not VALUE.fullmatch(value):
            raise ValueError(f"mask value {value!r} is neither a number from 0 to 65535 nor a colour such as #ff0000")


def read_marks(path: Path, rule: MaskRule) -> Marks:
    """A mask's pixels (H, W): 0, IGNORED, DEFECT.

    Raises:
        BadImage: as `fastflow.decode.read_mask`.
    """
    image = open_image(path)
    defect = _any_of(image, rule.values, path) if rule.values else _usual(image, path)
    if rule.inverted:
        defect = ~defect
    marks = defect.astype(np.uint8) * DEFECT
    if rule.ignore is not None:
        marks[_any_of(image, (rule.ignore,), path)] = IGNORED
    return marks


def united(several: list[Marks]) -> Marks:
    """One mask of several of an image: a defect in any is a defect; pixels left out in one and marked in none are left
    out."""
    found = np.where(np.any([m == IGNORED for m in several], axis=0), IGNORED, 0).astype(np.uint8)
    found[np.any([m == DEFECT for m in several], axis=0)] = DEFECT
    return found


def at_size(marks: Marks, width: int, height: int) -> Marks:
    """Marks at an image's size, each pixel that of the nearest."""
    if marks.shape == (height, width):
        return marks
    return np.asarray(Image.fromarray(marks).resize((width, height), Image.Resampling.NEAREST))


def upright_size(path: Path, page: int | None = None) -> tuple[int, int]:
    """Width and height of an image as it is shown, or of one of its pages; only its header is read.

    Raises:
        OSError: it cannot be read, or has more pixels than Pillow opens. EOFError: it has no such page.
    """
    try:
        with Image.open(path) as image:
            if page and getattr(image, "n_frames", 1) > 1:
                image.seek(page - 1)
            return (image.height, image.width) if is_turned(image) else (image.width, image.height)
    except (OSError, EOFError, MemoryError):
        raise
    except Exception as error:  # on damaged bytes, decoders raise anything
        raise OSError(f"{path}: {error}") from error


def _usual(image: Image.Image, path: Path) -> NDArray[np.bool_]:
    alpha = _alpha(image)
    if alpha is not None and alpha.min() < alpha.max():
        return np.asarray(alpha >= LOSSY_DEFECT_LEVEL)
    if image.mode in NUMBERS:
        return np.asarray(np.asarray(image) > 0)
    by_colour = _levelled(np.asarray(to_rgb(image, path)).max(axis=2), lossy=image.info["lossy"])
    if image.mode == "P":
        by_index = np.asarray(image) > 0
        return by_index if by_colour.all() or not by_colour.any() else by_colour
    return by_colour


def _levelled(levels: NDArray[np.uint8], *, lossy: bool) -> NDArray[np.bool_]:
    if lossy:
        return np.asarray(levels >= LOSSY_DEFECT_LEVEL)
    top = levels.max()
    between = (levels > 0) & (levels < top)
    if top > 1 and between.any():
        near = (ndimage.minimum_filter(levels, SOFT_WIDTH_PIXELS) == 0) & (
            ndimage.maximum_filter(levels, SOFT_WIDTH_PIXELS) == top
        )
        if near[between].mean() >= SOFT_FRACTION:
            return np.asarray(levels >= (int(top) + 1) // 2)
    return np.asarray(levels > 0)


def _any_of(image: Image.Image, values: tuple[str, ...], path: Path) -> NDArray[np.bool_]:
    numbers = [int(value) for value in values if not value.startswith("#")]
    found = np.zeros(image.size[::-1], bool)
    if numbers:
        pixels = np.asarray(
            image if image.mode in ("P", "L", "I", "F") or "I;16" in image.mode else to_rgb(image, path)
        )
        found |= np.isin(pixels, numbers) if pixels.ndim == 2 else np.isin(pixels, numbers).all(axis=2)
    for value in values:
        if value.startswith("#"):
            colour = [int(value[start : start + 2], 16) for start in (1, 3, 5)]
            found |= (np.asarray(to_rgb(image, path)) == colour).all(axis=2)
    return found


def _alpha(image: Image.Image) -> NDArray[np.uint8] | None:
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))[..., 3]
    return None
