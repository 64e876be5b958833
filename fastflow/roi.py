"""The region of interest: where in a picture anything is looked at. What lies outside is covered before a model sees
it: whatever is there changes no bit of a training or a score.

A region is drawn for pictures of one shape, and scaled to others of the same aspect ratio.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import MAX_PIXELS
from fastflow.pixels.mask_size import resize_mask

Size = tuple[int, int]
Mask = NDArray[np.bool_]
COVER = (124, 116, 104)
"""RGB of what is covered: ImageNet's mean, which is nearly zero once normalised."""
ROI_TEXT = "a mapping of a shape (height, width) and runs that fill it, some of them inside"
_RUNS = re.compile(r"\d{1,9}( \d{1,9})+")


class Roi(NamedTuple):
    """`shape` (height, width) of the pictures that it was drawn for. `runs`: row by row, the numbers of pixels that lie
    outside and inside in turn, outside first, as text: 1200 40 860 40 ..."""

    shape: Size
    runs: str


def roi_of(mask: Mask) -> Roi:
    """Of a mask (H, W), true inside. Raises ValueError where nothing is inside."""
    if mask.ndim != 2 or not mask.any():
        raise ValueError(f"a region of interest needs a mask (H, W) with a pixel inside, got {mask.shape}, none inside")
    flat = np.concatenate([[False], mask.ravel(), [not mask.flat[-1]]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], ends]))
    return Roi((mask.shape[0], mask.shape[1]), " ".join(map(str, runs.tolist())))


@lru_cache(maxsize=16)
def roi_mask(roi: Roi, size: Size | None = None) -> Mask:
    """(H, W), true inside; at `size` (height, width), by default of its own pictures, by `resize_mask`, which loses no
    thin part. It is shared, and cannot be written to."""
    if size is not None and size != roi.shape:
        mask = resize_mask(roi_mask(roi), size)
    else:
        runs = np.array(roi.runs.split(), np.int64)
        mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(roi.shape)
    mask.setflags(write=False)
    return mask


def share_of(roi: Roi) -> str:
    """Such as: 43.2% of the picture."""
    return f"{roi_mask(roi).mean():.1%} of the picture"


def looked_at(roi: Roi | None) -> str:
    """Such as: 43.2% of the picture; all of the picture, where there is no region."""
    return share_of(roi) if roi else "all of the picture"


def covered(image: Image.Image, roi: Roi) -> Image.Image:
    """A copy of an RGB image with COVER outside."""
    copy = image.copy()
    copy.paste(COVER, (0, 0, *image.size), _outside(roi, (image.height, image.width)))
    return copy


@lru_cache(maxsize=16)
def _outside(roi: Roi, size: Size) -> Image.Image:
    return Image.fromarray(~roi_mask(roi, size))


def hidden_outside(mask: Mask, roi: Roi | None) -> Mask:
    """A mask of defects (H, W), of which what lies outside is neither defect nor background: a masked array, as of
    `fastflow.decode.read_mask`."""
    if roi is None:
        return mask
    outside = ~roi_mask(roi, (mask.shape[0], mask.shape[1]))
    return np.ma.array(np.asarray(mask) & ~outside, mask=np.ma.getmaskarray(mask) | outside)


def is_roi(value: Any) -> bool:
    """Whether it is a Roi, or the mapping that JSON has in its place, with a pixel inside."""
    if isinstance(value, Roi):
        value = value._asdict()
    if not isinstance(value, dict) or value.keys() != {"shape", "runs"}:
        return False
    shape, runs = value["shape"], value["runs"]
    if not (isinstance(shape, list | tuple) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape)):
        return False
    if not (shape[0] * shape[1] <= MAX_PIXELS and type(runs) is str and _RUNS.fullmatch(runs)):
        return False
    lengths = list(map(int, runs.split()))
    return sum(lengths) == shape[0] * shape[1] and any(lengths[1::2])


def as_roi(value: Any) -> Roi | None:
    """Of JSON, also null. Raises ValueError where it is no region."""
    if value is None or isinstance(value, Roi):
        return value
    if not is_roi(value):
        raise ValueError(f"no region of interest; allowed: {ROI_TEXT}")
    return Roi((value["shape"][0], value["shape"][1]), value["runs"])
