"""Defects counted by region: which true ones are found, by their size, and what is reported where nothing is.

A true region is an 8-connected component of the mask. It is found where a reported region shares a pixel with it; a
reported region that shares none with any is false. What a mask hides (`numpy.ma`) is neither true nor false.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fastflow.metrics.rates import rate_interval
from fastflow.metrics.regions import EIGHT_CONNECTED
from fastflow.regions import Region, filled, pixels_of

CLASS_FACTOR = 4  # of the areas at which one size class ends and the next begins: sides are twice as long


class JudgedPicture(NamedTuple):
    """Of one picture: the areas of its true regions in pixels, which of them are found, and how many reported regions
    are false."""

    areas: list[int]
    found: list[bool]
    false_regions: int


def judge_picture(regions: Sequence[Region], gt_mask: NDArray[np.bool_]) -> JudgedPicture:
    """What the reported regions of a picture find of its mask (H, W)."""
    hidden = np.ma.getmaskarray(gt_mask) if isinstance(gt_mask, np.ma.MaskedArray) else np.zeros(gt_mask.shape, bool)
    true = np.asarray(gt_mask) & ~hidden
    labels: NDArray[Any]
    labels, count = ndimage.label(true, EIGHT_CONNECTED)
    areas = np.bincount(labels[true], minlength=count + 1)[1:]
    seen = set(np.unique(labels[filled(regions, true.shape)]).tolist())
    known = true | hidden
    false = sum(not known[_box(one)][pixels_of(one)].any() for one in regions)
    return JudgedPicture(areas.tolist(), [number in seen for number in range(1, count + 1)], int(false))


def _box(region: Region) -> tuple[slice, slice]:
    return slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)


def recall(found: Sequence[bool]) -> dict[str, float]:
    """`count` found of `total`, and the exact 95 % limits of that rate, were regions independent of each other."""
    low, high = rate_interval(sum(found), len(found))
    return {"count": sum(found), "total": len(found), "low": low, "high": high}


def recall_by_size(areas: Sequence[int], found: Sequence[bool]) -> list[dict[str, float]]:
    """`recall` of each size class that has a region, smallest first: areas from `from` to below `to`, in pixels.

    Classes begin at 1, 4, 16, 64 and so on: they are the same for all categories and models.
    """
    start, rows = 1, []
    while start <= max(areas, default=0):
        end = start * CLASS_FACTOR
        own = [one for area, one in zip(areas, found, strict=True) if start <= area < end]
        if own:
            rows.append({"from": start, "to": end} | recall(own))
        start = end
    return rows


def false_regions(counts: Iterable[int]) -> dict[str, float | None]:
    """Of good pictures, each with its number of reported regions: how many `regions` there are in all `pictures`, how
    many that is `per_picture` (None without a picture); in how many there are any (`count` of `total`), and the exact
    95 % limits of that rate."""
    each = list(counts)
    per_picture = sum(each) / len(each) if each else None
    with_any = recall([count > 0 for count in each])
    return {"pictures": len(each), "regions": sum(each), "per_picture": per_picture} | with_any
