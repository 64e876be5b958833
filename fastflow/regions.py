"""The places of a picture that its anomaly map marks: regions above the pixel threshold, in the picture's own pixels.

Pixels are counted from the upper left corner: that of row y and column x covers x to x + 1 and y to y + 1. So boxes,
centroids and polygons share one system, and a length in it times `mm_per_pixel` is one on the part.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fastflow.frame import Size
from fastflow.maps import Map, Window, resize_map, taps
from fastflow.metrics.regions import EIGHT_CONNECTED
from fastflow.outline import outline

LENGTHS = ("x", "y", "width", "height", "centroid_x", "centroid_y")
MILLIMETRES = (*(f"{name}_mm" for name in LENGTHS), "area_mm2")


class Region(NamedTuple):
    """Pixels above the threshold that hold together, over edges or corners.

    `x`, `y`, `width`, `height`: the box; `area` in pixels; `peak` and `mean` of the anomaly map in it; `polygon`: its
    outline as x, y, x, y, ..., which filled again is the region (`fastflow.outline`).
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    centroid_x: float
    centroid_y: float
    peak: float
    mean: float
    polygon: tuple[int, ...]


class RegionRule(NamedTuple):
    """`min_area`: regions of fewer pixels are left out. `mm_per_pixel`: of the pictures; None where it is unknown."""

    min_area: int = 0
    mm_per_pixel: float | None = None


def check_rule(rule: RegionRule) -> RegionRule:
    """Raises ValueError that says what is wrong with it."""
    if type(rule.min_area) is not int or rule.min_area < 0:
        raise ValueError(f"min_area is {rule.min_area!r}; allowed: a whole number of pixels, 0 or more")
    scale = rule.mm_per_pixel
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"mm_per_pixel is {scale!r}; allowed: a number above 0, such as 0.05, or none")
    return rule


def find_regions(anomaly_map: Map, size: Size, *, threshold: float, min_area: int = 0) -> list[Region]:
    """The regions of a map (h, w), without padding, of a picture of `size` (height, width); the highest peak first.

    Only the part of the picture that holds any is computed at its size.

    Raises:
        ValueError: a map or a threshold that is no number: nothing would lie above it.
    """
    if not (np.isfinite(anomaly_map).all() and math.isfinite(threshold)):
        raise ValueError(f"the anomaly map or its threshold ({threshold}) is NaN or infinite, so it has no regions")
    window = _window(anomaly_map > threshold, size)
    if window is None:
        return []
    scores = resize_map(anomaly_map, size, window)
    found = _regions(scores, threshold, min_area, top=window[0].start, left=window[1].start)
    return sorted(found, key=lambda region: (-region.peak, region.y, region.x))


def _window(above: NDArray[np.bool_], size: Size) -> Window | None:
    """Rows and columns of the picture that any of these pixels of the map has a part in; None where there are none."""
    if not above.any():
        return None
    found = []
    for axis, old, new in zip((1, 0), above.shape, size, strict=True):
        marked, place = np.asarray(above.any(axis=axis)), taps(old, new)
        inside = np.flatnonzero(marked[place.first] | marked[place.second])
        if not len(inside):
            return None  # of a picture smaller than its map, which leaves pixels out
        found.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return found[0], found[1]


def _regions(scores: Map, threshold: float, min_area: int, *, top: int, left: int) -> Iterator[Region]:
    labels: NDArray[Any]
    labels, _ = ndimage.label(scores > threshold, EIGHT_CONNECTED)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == number
        rows, columns = np.nonzero(inside)
        if len(rows) < min_area:
            continue
        y, x, values = top + box[0].start, left + box[1].start, scores[box][inside]
        yield Region(
            x=x, y=y, width=inside.shape[1], height=inside.shape[0], area=len(rows),
            centroid_x=x + 0.5 + float(columns.mean()), centroid_y=y + 0.5 + float(rows.mean()),
            peak=float(values.max()), mean=float(values.mean(dtype=np.float64)),
            polygon=tuple((outline(inside) + np.array([x, y])).ravel().tolist()),
        )  # fmt: skip


def in_millimetres(region: Region, mm_per_pixel: float | None) -> dict[str, float | None]:
    """The lengths of a region as x_mm and so on, and area_mm2; each None where the scale is unknown."""
    if mm_per_pixel is None:
        return dict.fromkeys(MILLIMETRES)
    lengths = [mm_per_pixel * getattr(region, name) for name in LENGTHS]
    return dict(zip(MILLIMETRES, [*lengths, mm_per_pixel**2 * region.area], strict=True))


def as_record(region: Region, mm_per_pixel: float | None) -> dict[str, Any]:
    """All that is known of a region, by name: pixels, millimetres, scores; its polygon is a list."""
    pixels = region._asdict() | {"polygon": list(region.polygon)}
    return pixels | in_millimetres(region, mm_per_pixel)


def largest_area(regions: Sequence[Region]) -> int:
    """In pixels; 0 where there is none."""
    return max((region.area for region in regions), default=0)


def pixels_of(region: Region) -> NDArray[np.bool_]:
    """Where in its box (height, width) a region is, by its polygon: pixels whose centre lies inside."""
    edges = np.zeros((region.height, region.width + 1), bool)
    points = np.array(region.polygon).reshape(-1, 2) - (region.x, region.y)
    for (x, start), (x_end, end) in zip(points.tolist(), np.roll(points, -1, axis=0).tolist(), strict=True):
        if x == x_end:  # upright: beyond it, inside and outside change places
            edges[min(start, end) : max(start, end), x] ^= True
    return np.asarray(np.logical_xor.accumulate(edges, axis=1)[:, :-1])


def filled(regions: Sequence[Region], size: Size) -> NDArray[np.bool_]:
    """The pixels (H, W) of regions of a picture of that size."""
    pixels = np.zeros(size, bool)
    for one in regions:
        pixels[one.y : one.y + one.height, one.x : one.x + one.width] |= pixels_of(one)
    return pixels
