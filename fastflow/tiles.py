"""Tiles: a large picture is looked at in parts of one size; without PyTorch, as the server has none.

Along each axis, tiles begin at even distances, the first and the last at the picture's edges; a picture that is smaller
than a tile is padded. The weight of a tile's pixel falls smoothly to nearly 0 at the tile's edge, where its neighbour's
is full, and all weights of a picture's pixel add up to 1: so that no seam shows where maps are blended
(`fastflow.tiling`). Legend: T tiles of h x w.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastflow.allowed import MAX_SIDE_PIXELS
from fastflow.frame import Size

Map = NDArray[np.float32]
MAX_TILES = 10_000  # of a picture
USUAL_AREA = 256 * 256  # pixels of a picture that is looked at in one piece
TILES_TEXT = f"a mapping of a picture (height, width), each 1 to {MAX_SIDE_PIXELS}, and an overlap from 0 to below 1"


class Tiles(NamedTuple):
    """`picture` (height, width): the frame that pictures are laid into; the model's own size is that of a tile.
    `overlap`: the fraction of a tile that the next one shows again, at least."""

    picture: Size
    overlap: float


class TileSettings(NamedTuple):
    """As params.yaml has them (tiles): `size`, pixels of a tile, of each side or (height, width); `overlap`: the
    fraction of a tile that the next one shows again; `scale`: of the photographs, 1 their own pixels, before they are
    cut."""

    size: int | Sequence[int]
    overlap: float = 0.25
    scale: float = 1.0


class Axis(NamedTuple):
    """The first pixels of a side's tiles, and the weights (T, side of a tile) of their pixels, whose sum is 1 at each
    pixel of the side."""

    starts: list[int]
    weights: Map


class Place(NamedTuple):
    """A tile in its picture: its upper left corner, and the weights (h, w) of those of its pixels that are there."""

    row: int
    column: int
    weights: Map


def middle_size(shapes: Sequence[Size]) -> Size:
    """The height and the width that are in the middle of those of all shapes; of most that are one size, that."""
    heights, widths = (sorted(side)[len(shapes) // 2] for side in zip(*shapes, strict=True))
    return heights, widths


def starts_of(side: int, tile: int, overlap: float) -> list[int]:
    """The first pixels of the tiles along a side of a picture; of one not longer than a tile: 0."""
    if side <= tile:
        return [0]
    count = math.ceil((side - tile) / max(1, math.floor(tile * (1 - overlap)))) + 1
    return [round(start) for start in np.linspace(0, side - tile, count).tolist()]


def axis_of(side: int, tile: int, overlap: float) -> Axis:
    starts, shown = starts_of(side, tile, overlap), min(side, tile)
    from_edge = np.minimum(np.arange(shown), np.arange(shown)[::-1]) + 0.5
    ramp = np.sin(np.minimum(1, from_edge / max(1.0, overlap * tile)) * np.pi / 2) ** 2
    total = np.zeros(side)
    for start in starts:
        total[start : start + shown] += ramp
    return Axis(starts, np.stack([ramp / total[start : start + shown] for start in starts]).astype(np.float32))


def places(size: Size, tile: Size, overlap: float) -> Iterator[Place]:
    """The tiles of a picture of `size` (height, width), row by row."""
    down, across = (axis_of(side, one, overlap) for side, one in zip(size, tile, strict=True))
    for (row, rows), (column, columns) in product(zip(*down, strict=True), zip(*across, strict=True)):
        yield Place(row, column, rows[:, None] * columns)


def count_of(size: Size, tile: Size, overlap: float) -> int:
    """How many tiles a picture of `size` has."""
    return math.prod(len(starts_of(side, one, overlap)) for side, one in zip(size, tile, strict=True))


def cut(image: NDArray[np.uint8], corners: list[tuple[int, int]], tile: Size) -> NDArray[np.uint8]:
    """Tiles (T, 3, h, w) of a frame's pixels (3, H, W), which are padded where there are fewer."""
    height, width = tile
    made = np.zeros((len(corners), 3, height, width), np.uint8)
    for one, (row, column) in zip(made, corners, strict=True):
        part = image[:, row : row + height, column : column + width]
        one[:, : part.shape[1], : part.shape[2]] = part
    return made


def is_tiles(value: Any) -> bool:
    """Whether it is a Tiles, or the mapping that JSON has in its place."""
    if isinstance(value, Tiles):
        value = value._asdict()
    if not isinstance(value, dict) or value.keys() != set(Tiles._fields):
        return False
    picture, overlap = value["picture"], value["overlap"]
    return (
        isinstance(picture, list | tuple)
        and len(picture) == 2
        and all(type(side) is int and 1 <= side <= MAX_SIDE_PIXELS for side in picture)
        and type(overlap) in (int, float)
        and 0 <= overlap < 1
    )


def as_tiles(value: Any) -> Tiles | None:
    """Of JSON, also null. Raises ValueError where it is none."""
    if value is None or isinstance(value, Tiles):
        return value
    if not is_tiles(value):
        raise ValueError(f"no tiles; allowed: {TILES_TEXT}")
    return Tiles((value["picture"][0], value["picture"][1]), float(value["overlap"]))


def check_tiles(tiles: Tiles, tile: Size) -> None:
    """Raises ValueError where a tile of that size is larger than the picture, or there are more than MAX_TILES."""
    height, width = tiles.picture
    if tile[0] > height or tile[1] > width:
        raise ValueError(
            f"a tile of {tile[0]}x{tile[1]} pixels (height x width) is larger than the picture, {height}x{width}; name "
            "a smaller one, or leave tiles out"
        )
    if (count := count_of(tiles.picture, tile, tiles.overlap)) > MAX_TILES:
        raise ValueError(
            f"a picture of {height}x{width} pixels has {count:,} tiles of {tile[0]}x{tile[1]} that overlap by "
            f"{tiles.overlap:g}; at most {MAX_TILES:,} are allowed: name larger tiles, or less overlap"
        )
