"""Cuttings: squares of a picture around a place."""

import math
from typing import NamedTuple

from fastflow.frame import Size

VIEW, WINDOW = 1 / 3, 2.5  # side of a cutting: a share of the picture's shorter side, or so many times the place's
Window = tuple[slice, slice]
"""Rows and columns."""


class Box(NamedTuple):
    """A rectangle of pixels, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int


def window(box: Box, shape: Size, size: float) -> Window:
    """A square of a picture of `shape` (height, width) around a place of that size."""
    height, width = shape
    side = min(height, width, math.ceil(max(VIEW * min(height, width), WINDOW * size)))
    top = min(max((box.top + box.bottom - side) // 2, 0), height - side)
    left = min(max((box.left + box.right - side) // 2, 0), width - side)
    return slice(top, top + side), slice(left, left + side)


def same(seen: Window, shape: Size, other: Size) -> Window:
    """A window of a picture of `shape`, at the same place of one of another shape (height, width)."""
    rows, columns = (
        slice(int(one.start * new / old), max(int(one.start * new / old) + 1, round(one.stop * new / old)))
        for one, old, new in zip(seen, shape, other, strict=True)
    )
    return rows, columns
