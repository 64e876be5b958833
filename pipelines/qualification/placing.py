"""Where on a photograph a defect is drawn, and how.

The part is what is not background, where that can be told: background is flat, has the colour of the picture's rim, and
covers most of that. Where the part fills the picture, or the rule finds hardly any part, all of the picture counts.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fastflow.roi import Roi, roi_mask
from pipelines.qualification.defects import Shape
from pipelines.reporting.cutting import Box

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SIDE = 160  # pixels of the longer side that the part is looked for at
FLAT_LEVELS = 6.0  # grey levels: largest standard deviation of 3 x 3 pixels of a flat background
ALIKE_LEVELS = 20.0  # grey levels: largest difference of a background from the rim's median colour
RIM_SHARE = 0.6  # of the rim that must be background
PART_SHARE = 0.05  # of the picture; fewer pixels are no part
TRIES, ON_PART = 20, 0.9  # places tried, and the share of the defect that must lie on the part; else the best of them


def part_of(pixels: Pixels) -> Mask:
    """Where the part is, (h, w), of a picture (H, W, 3) at most `SIDE` pixels wide or high; all of it where that cannot
    be told."""
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    small = Image.fromarray(pixels).resize(
        [max(1, round(n * scale)) for n in pixels.shape[1::-1]], Image.Resampling.BOX
    )
    values = np.asarray(small, np.float64)
    everywhere = np.ones(values.shape[:2], bool)
    rim = everywhere.copy()
    rim[2:-2, 2:-2] = False
    mean, square = (ndimage.uniform_filter(v, (3, 3, 1), mode="nearest") for v in (values, values**2))
    flat = np.sqrt(np.maximum(square - mean**2, 0)).max(axis=2) <= FLAT_LEVELS
    background = flat & (np.abs(values - np.median(values[rim], axis=0)).max(axis=2) <= ALIKE_LEVELS)
    if background[rim].mean() < RIM_SHARE:
        return everywhere
    labels, _ = ndimage.label(background)
    outer = np.isin(labels, np.unique(labels[rim & background]))
    part = ndimage.binary_opening(ndimage.binary_fill_holes(~outer), np.ones((3, 3), bool))
    return part if part.mean() >= PART_SHARE else everywhere


def within(part: Mask, roi: Roi) -> Mask:
    """Where the part (h, w) lies in the region of interest; all of that where the part does not reach into it."""
    if part.shape == (1, 1):  # anywhere
        scale = min(1.0, SIDE / max(roi.shape))
        part = np.ones([max(1, round(n * scale)) for n in roi.shape], bool)
    inside = roi_mask(roi, (part.shape[0], part.shape[1]))
    return part & inside if (part & inside).any() else inside


def place(shape: Shape, part: Mask, picture: tuple[int, int], rng: np.random.Generator) -> Box:
    """A box in a picture (height, width) for a shape, on the part; within the picture."""
    height, width = (min(n, limit) for n, limit in zip(shape.change.shape, picture, strict=True))
    rows, columns = np.nonzero(part)
    scale = picture[0] / part.shape[0], picture[1] / part.shape[1]
    best, found = Box(0, 0, height, width), -1.0
    for _ in range(TRIES):
        chosen = int(rng.integers(len(rows)))
        middle = (rows[chosen] + rng.random()) * scale[0], (columns[chosen] + rng.random()) * scale[1]
        top = int(np.clip(middle[0] - height / 2, 0, picture[0] - height))
        left = int(np.clip(middle[1] - width / 2, 0, picture[1] - width))
        box = Box(top, left, top + height, left + width)
        share = share_on(part, box, np.abs(shape.change[:height, :width]) > 0, scale)
        if share > found:
            best, found = box, share
        if found >= ON_PART:
            break
    return best


def share_on(part: Mask, box: Box, changed: Mask, scale: tuple[float, float]) -> float:
    """The share of the changed pixels of a box that lies on the part."""
    rows, columns = np.nonzero(changed)
    if not len(rows):
        return 0.0
    down = np.minimum((box.top + rows) / scale[0], part.shape[0] - 1).astype(int)
    right = np.minimum((box.left + columns) / scale[1], part.shape[1] - 1).astype(int)
    return float(part[down, right].mean())


def drawn(pixels: Pixels, shape: Shape, box: Box, *, contrast: float, rng: np.random.Generator) -> Pixels:
    """A copy of a picture (H, W, 3) with the shape in its box. `contrast`: the largest change of a pixel, a fraction of
    the range from black to white; lighter or darker by chance, unless hardly any room is left that way."""
    height, width = box.bottom - box.top, box.right - box.left
    change, cover = (np.broadcast_to(one, shape.change.shape)[:height, :width, None] for one in shape[:2])
    changed = change[..., 0] != 0
    before = pixels[box.top : box.bottom, box.left : box.right].astype(np.float64)
    mean = before[changed].mean(axis=0) if changed.any() else before.mean(axis=(0, 1))
    levels, room = 255 * contrast, {1: 255 - mean.mean(), -1: mean.mean()}
    sign = int(rng.choice([-1, 1]))
    if room[sign] < levels / 2 and room[-sign] > room[sign]:
        sign = -sign
    after = before + (mean - before) * cover + sign * levels * change * shape.tint
    copy = pixels.copy()
    copy[box.top : box.bottom, box.left : box.right] = np.rint(after.clip(0, 255)).astype(np.uint8)
    return copy
