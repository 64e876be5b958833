"""What a model says of tiles becomes a picture's map and score; without PyTorch, as the server has none.

Legend: B pictures of H x W, T tiles of h x w.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastflow.detector import Images, Run, Scores, Sizes
from fastflow.frame import Frame, Size
from fastflow.tiles import Map, cut, places

TILE_PIXELS_AT_ONCE = 2**20  # of tiles that are scored together: 16 of 256 x 256, as pictures are


class TileMaps(NamedTuple):
    """(T, 1, h, w): anomaly maps, and what the image score is taken from, `fastflow.model.Maps.judged`."""

    anomaly_map: NDArray[np.float32]
    judged: NDArray[np.float32]


class TileRun(Protocol):
    """The maps of tiles (T, 3, h, w), uint8; `sizes` (T, 2): the height and width of the picture in each."""

    def __call__(self, images: Images, sizes: Sizes, /) -> TileMaps: ...


class Tiling(NamedTuple):
    """How maps of tiles become those of a picture, and its score: the mean of the highest pixels, as many as
    `top_fraction` of a tile's; 0: the highest. `threshold`: of the image score."""

    tile: Size
    overlap: float
    top_fraction: float
    threshold: float

    def over(self, run: TileRun) -> Run:
        """What scores pictures by their tiles, some at a time: memory is that of a picture, whatever their number.

        Pictures may have other sizes than the model's frame; anomaly maps are NaN in padding.
        """

        def scored(images: Images, sizes: Sizes | None = None) -> Scores:
            shown = np.tile(images.shape[2:], (len(images), 1)) if sizes is None else sizes
            maps = np.full((len(images), 1, *images.shape[2:]), np.nan, np.float32)
            scores = np.empty(len(images), np.float32)
            for number, (height, width) in enumerate(shown.tolist()):
                blended = self._blended(run, images[number], (height, width))
                maps[number, 0, :height, :width] = blended.anomaly_map
                scores[number] = self.image_score(blended.judged)
            return Scores(scores, (~(scores <= self.threshold)).astype(np.int64), maps)

        return scored

    def _blended(self, run: TileRun, image: NDArray[np.uint8], size: Size) -> TileMaps:
        """The maps (H, W) of one picture (3, H, W), of that size in its frame."""
        whole = TileMaps(np.zeros(size, np.float32), np.zeros(size, np.float32))
        every = list(places(size, self.tile, self.overlap))
        here = (min(size[0], self.tile[0]), min(size[1], self.tile[1]))
        at_once = max(1, TILE_PIXELS_AT_ONCE // math.prod(self.tile))
        inside = image[:, : size[0], : size[1]]
        for first in range(0, len(every), at_once):
            some = every[first : first + at_once]
            found = run(cut(inside, [(one.row, one.column) for one in some], self.tile), np.tile(here, (len(some), 1)))
            for into, maps in zip(whole, found, strict=True):
                for place, tile_map in zip(some, maps, strict=True):
                    part = into[place.row : place.row + here[0], place.column : place.column + here[1]]
                    part += tile_map[0, : here[0], : here[1]] * place.weights
        return whole

    def image_score(self, judged: Map) -> float:
        """As `fastflow.score.image_score` of one map (H, W), but for the number of pixels that count."""
        pixels = min(judged.size, math.prod(self.tile))
        count = max(1, round(self.top_fraction * pixels))
        return float(np.partition(judged, judged.size - count, axis=None)[-count:].mean(dtype=np.float64))


def part_size(tiling: Tiling, frame: Frame) -> Size:
    """A part of a frame that has four tiles, or as many as there are."""
    height, width = tiling.tile
    return min(frame.height, 3 * height // 2), min(frame.width, 3 * width // 2)
