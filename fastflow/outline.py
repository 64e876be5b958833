"""The outline of a region of pixels as one closed polygon on the pixels' corners, which filled again is the region.

The edges between pixels of the region and others are followed, the region on the right hand (crack following). Where
two of its pixels touch at a corner alone, the way turns to the other one, so that a region whose pixels hold together
over edges and corners (8-connected) has one ring around it, and one around each of its holes. Holes are joined to the
ring by a way there and back without width, which no rule of filling counts.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]
"""Corners (N, 2), each x, y, in pixels; the first is not repeated at the end."""
EAST, SOUTH, WEST, NORTH = range(4)
Edge = tuple[int, int, int]
"""The x and y of a corner, and the heading in which an edge leaves it."""


def outline(region: NDArray[np.bool_]) -> Points:
    """The polygon of one 8-connected region (H, W), from its uppermost corner at the left, clockwise on the screen.

    The pixel in row y and column x covers x to x + 1 and y to y + 1.
    """
    around, *holes = sorted(_rings(region), key=lambda ring: ring.min(axis=0)[0])
    for hole in holes:  # from left to right: what lies to the left of one is in the ring by then
        around = _joined(around, hole)
    start = np.lexsort((around[:, 0], around[:, 1]))[0]
    return np.roll(around, -start, axis=0)


def _rings(region: NDArray[np.bool_]) -> list[Points]:
    """Closed ways along all edges, each straight part of them once."""
    ends: dict[Edge, tuple[int, int]] = {}
    for line, start, end, below in _runs(region):  # the region below: to the east
        ends[(start, line, EAST) if below else (end, line, WEST)] = (end if below else start, line)
    for line, start, end, right in _runs(region.T):  # the region at the right: to the north
        ends[(line, end, NORTH) if right else (line, start, SOUTH)] = (line, start if right else end)
    left, rings = dict.fromkeys(ends), []
    while left:
        first = edge = next(iter(left))
        ring: list[tuple[int, int]] = []
        while edge != first or not ring:
            del left[edge]
            ring.append(edge[:2])
            (x, y), heading = ends[edge], edge[2]
            to_left = (x, y, (heading - 1) % 4)
            edge = to_left if to_left in ends else (x, y, (heading + 1) % 4)
        rings.append(np.array(ring, np.int64))
    return rings


def _runs(region: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, bool]]:
    """Straight edges along the rows: the line that they lie on, start, end, and whether the region is below."""
    change = np.diff(np.pad(region, 1).astype(np.int8), axis=0)  # its columns are padded still: no edge is open
    corner = change[:, 1:] != change[:, :-1]
    lines, starts = np.nonzero(corner & (change[:, 1:] != 0))
    ends = np.nonzero(corner & (change[:, :-1] != 0))[1]
    below = change[lines, starts + 1] > 0
    yield from zip(lines.tolist(), starts.tolist(), ends.tolist(), below.tolist(), strict=True)


def _joined(around: Points, hole: Points) -> Points:
    """A ring with a hole in it: from the nearest edge at the left to the hole's leftmost corner, and back."""
    first = np.lexsort((hole[:, 1], hole[:, 0]))[0]
    x, y = hole[first]
    after = np.roll(around, -1, axis=0)
    upright = (around[:, 0] == after[:, 0]) & (around[:, 0] < x)
    beside = upright & (np.minimum(around[:, 1], after[:, 1]) <= y) & (np.maximum(around[:, 1], after[:, 1]) >= y)
    at = np.flatnonzero(beside)[np.argmax(around[beside, 0])]
    bridge = np.array([[around[at, 0], y]])
    way = [around[: at + 1], bridge, np.roll(hole, -first, axis=0), hole[first : first + 1], bridge, around[at + 1 :]]
    joined = np.concatenate(way)
    return np.asarray(joined[(joined != np.roll(joined, 1, axis=0)).any(axis=1)])
