"""The frame of pixels that a model takes, and how a picture of any shape is placed in it: complete, and not squeezed.

A picture lies in the frame's upper left corner, as large as it fits; what is left over is padding, which
`fastflow.padding` keeps out of training, calibration and scores. Outside of a region of interest it is covered.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import AS_MEANT, FORMATS, Given, fitted, open_image, read_rgb
from fastflow.errors import BadImage
from fastflow.pixels.depth import common_range
from fastflow.pixels.meaning import NUMBERS, Depth, PixelRule, ValueRange, depth_of
from fastflow.pixels.pages import turn_to
from fastflow.pixels.picture import Picture
from fastflow.pixels.samples import is_turned, samples_of
from fastflow.roi import Roi, covered, roi_mask

ASPECT_TOLERANCE_FRACTION = 0.035
"""Aspect ratios that differ by less than this fraction count as equal: a picture is stretched by it, not padded."""
_AREA_WEIGHT = 0.25  # of a deviation from the area, against one from the aspect ratio
_MAX_ASPECT_RATIO = 16.0  # aspect ratio of a frame; slimmer pictures are padded
PIXELS_AT_ONCE = 2**24  # of all pictures that are in memory together: one of 4096 x 4096

Size = tuple[int, int]


class Frame(NamedTuple):
    """Pixels of a model's input. `grid`: a padded picture ends at a multiple of it, that of the finest features, so
    that none of them sees both; None: pictures of any shape are stretched over the whole frame, as older models do.
    `rule`: how files become pixels. `roi`: the region of interest; None: all of a picture."""

    height: int
    width: int
    grid: int | None = None
    rule: PixelRule = AS_MEANT
    roi: Roi | None = None

    def place(self, shape: Size) -> Size:
        """(height, width) that a picture of that shape has in the frame; with a region of interest, which all pictures
        must fit, that of its own pictures."""
        shape = self.roi.shape if self.roi else shape
        if self.grid is None or alike(shape, (self.height, self.width)):
            return self.height, self.width
        scale = min(self.height / shape[0], self.width / shape[1])
        height, width = (max(self.grid, round(side * scale / self.grid) * self.grid) for side in shape)
        return min(height, self.height), min(width, self.width)

    def inside(self) -> NDArray[np.bool_] | None:
        """Where in the frame (H, W) the region of interest lies; None: there is none."""
        if self.roi is None:
            return None
        height, width = self.place(self.roi.shape)
        whole = np.zeros((self.height, self.width), bool)
        whole[:height, :width] = roi_mask(self.roi, (height, width))
        return whole


class Framed(NamedTuple):
    """RGB `pixels` (H, W, 3) of a whole frame, the picture's `size` (height, width) in it, and its own `shape`."""

    pixels: NDArray[np.uint8]
    size: Size
    shape: Size


def at_once(frame: Frame, batch_size: int) -> int:
    """How many pictures to score together where `batch_size` of them may be: of large ones, fewer."""
    return max(1, min(batch_size, PIXELS_AT_ONCE // (frame.height * frame.width)))


def alike(shape: Size, other: Size) -> bool:
    """Whether two (height, width) have the same aspect ratio."""
    return abs(math.log(shape[0] * other[1] / (shape[1] * other[0]))) <= ASPECT_TOLERANCE_FRACTION


def framed(image: Image.Image, frame: Frame, *, name: object = "the picture") -> Framed:
    """An RGB image in a frame, outside of its region of interest covered; padding is black. `name`: in messages.

    Raises:
        BadImage: a picture of another aspect ratio than the region of interest was drawn for.
    """
    shape = image.height, image.width
    if frame.roi is not None:
        if not alike(shape, frame.roi.shape):
            raise BadImage(f"{name}: {other_shape(shape, frame.roi)}; take the photographs as those it was drawn for")
        image = covered(image, frame.roi)
    size = frame.place(shape)
    pixels = fitted(image, size)
    if size != (frame.height, frame.width):
        whole = np.zeros((frame.height, frame.width, 3), np.uint8)
        whole[: size[0], : size[1]] = pixels
        pixels = whole
    return Framed(pixels, size, shape)


def read_framed(path: Given, frame: Frame) -> Framed:
    """An image in a frame. Raises BadImage as `fastflow.decode.read_image`."""
    return framed(read_rgb(path, frame.rule), frame, name=path)


def other_shape(shape: Size, roi: Roi) -> str:
    """What is wrong with a picture that is not `alike` those of a region."""
    sizes = (f"{height}x{width}" for height, width in (shape, roi.shape))
    return "its {} pixels (height x width) have another shape than the region of interest, drawn for {}".format(*sizes)


def picture_shape(path: Given, rule: PixelRule = AS_MEANT) -> Size:
    """(height, width) of an image, upright; of a file, from its header alone.

    Raises:
        BadImage: it cannot be read.
    """
    if isinstance(path, Picture):
        return path.shape
    try:
        with Image.open(path) as image:
            turn_to(image, rule, path)
            return (image.width, image.height) if is_turned(image) else (image.height, image.width)
    except BadImage:
        raise
    except Exception as error:  # on damaged bytes, decoders raise whatever comes
        raise BadImage(f"{path}: cannot be read ({error}); restore the file or remove it") from error


def range_of_files(paths: Sequence[Path | Picture], rule: PixelRule) -> ValueRange | None:
    """`common_range` of images. Raises BadImage."""
    with ThreadPoolExecutor() as pool:
        return common_range(filter(None, pool.map(partial(depth_of_file, rule=rule), paths)))


def depth_of_file(path: Path | Picture, rule: PixelRule) -> Depth | None:
    """`depth_of` an image; a file of 8 bits is not decoded. Raises BadImage."""
    if isinstance(path, Picture):
        return None  # of 8 bits
    return depth_of(open_image(path, rule=rule), rule) if _is_deep(path) else None


def _is_deep(path: Path) -> bool:
    """By its header; an unreadable file counts, and fails where it is decoded."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            samples = samples_of(image)
            return image.mode in NUMBERS or samples.halved or samples.signed
    except Exception:  # on damaged bytes, decoders raise whatever comes
        return True


def fitting_size(shapes: Sequence[Size], *, area: int, multiple: int) -> Size:
    """(height, width) of a frame for pictures of these shapes: their median aspect ratio, about `area` pixels, both
    multiples of `multiple`. A right aspect ratio counts more than a right area."""
    aspect = float(np.median([height / width for height, width in shapes]))
    aspect = min(max(aspect, 1 / _MAX_ASPECT_RATIO), _MAX_ASPECT_RATIO)

    def cost(size: Size) -> float:
        height, width = size
        return abs(math.log(height / width / aspect)) + _AREA_WEIGHT * abs(math.log(height * width / area))

    across = math.sqrt(area / aspect) / multiple
    widths = [multiple * n for n in range(max(1, math.floor(across * 0.7)), math.ceil(across * 1.4) + 1)]
    heights = [
        {max(1, n) * multiple for n in (math.floor(w * aspect / multiple), math.ceil(w * aspect / multiple))}
        for w in widths
    ]
    return min(((h, w) for w, found in zip(widths, heights, strict=True) for h in sorted(found)), key=cost)
