"""A model that looks at pictures in tiles (`fastflow.tiles`): what its training draws, and its scores of pictures.

Legend: N pictures, T tiles of all of them, S scales.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastflow.config import FastFlowConfig
from fastflow.crossfit import MAP_STRIDE_PIXELS, NormalScores, TiledImages
from fastflow.data import read_pictures
from fastflow.detector import Images, Sizes
from fastflow.features import FeatureStorage, allocate, batches, extract_features
from fastflow.frame import Frame, at_once, picture_shape
from fastflow.model import FastFlow
from fastflow.pixels.picture import Picture
from fastflow.score import SCORES
from fastflow.tiles import USUAL_AREA, count_of, cut, places
from fastflow.tiling import TILE_PIXELS_AT_ONCE, TileMaps, TileRun, Tiling

DRAWN_PIXELS = 2**26  # of all tiles that a model is trained on: 1024 of 256 x 256


class Drawn(NamedTuple):
    """The tiles that a model is trained on: the picture of each, ascending, and its upper left corner in that."""

    picture: Tensor
    corners: list[tuple[int, int]]


class Samples(NamedTuple):
    """What `fastflow.fit.fit` trains on: features, and, where they are of tiles, which images' they are."""

    features: list[Tensor]
    tiled: TiledImages | None = None


def training_samples(
    model: FastFlow,
    paths: Sequence[Path | Picture],
    *,
    seed: int,
    batch_size: int,
    storage: FeatureStorage | None = None,
) -> Samples:
    """Features of good images, on the model's device: of all, or of tiles that `seed` draws.

    Raises:
        BadImage: a file that cannot be decoded. OSError: they fit neither the memory allowed nor the disk.
    """
    if model.config.tiles is None:
        device = model.mean.device
        return Samples(extract_features(model, paths, batch_size=batch_size, device=device, storage=storage))
    drawn = drawn_tiles(paths, model.frame, model.config, seed=seed)
    features = extract_tiles(model, paths, drawn, storage=storage)
    return Samples(features, TiledImages(drawn.picture, PictureScores(paths)))


def num_samples(model: FastFlow, paths: Sequence[Path | Picture], *, seed: int) -> int:
    """How many samples `training_samples` gives, from the files' headers alone. Raises BadImage."""
    if model.config.tiles is None:
        return len(paths)
    return len(drawn_tiles(paths, model.frame, model.config, seed=seed).corners)


def tiling_of(config: FastFlowConfig, threshold: float) -> Tiling | None:
    """How a model of this configuration scores a picture by its tiles; None: in one piece."""
    if config.tiles is None:
        return None
    return Tiling(config.image_size, config.tiles.overlap, SCORES[config.score].top_fraction, threshold)


def tile_run(model: FastFlow) -> TileRun:
    """The model's maps of tiles, on its device."""

    @torch.no_grad()
    def run(images: Images, sizes: Sizes) -> TileMaps:
        device = model.mean.device
        inside = model.inside(torch.from_numpy(sizes).to(device))
        found = model.maps_of(model.extract(torch.from_numpy(images).to(device), inside))
        return TileMaps(found.anomaly_map.cpu().numpy(), found.judged.cpu().numpy())

    return run


def drawn_tiles(paths: Sequence[Path | Picture], frame: Frame, config: FastFlowConfig, *, seed: int) -> Drawn:
    """As many tiles of each picture as DRAWN_PIXELS hold, at least one; all, where these are fewer. Pictures of one
    size together show each place of theirs equally often, or once more.

    Raises:
        BadImage: a picture cannot be read.
    """
    assert config.tiles is not None
    tile, overlap = config.image_size, config.tiles.overlap
    with ThreadPoolExecutor() as pool:
        sizes = list(map(frame.place, pool.map(partial(picture_shape, rule=frame.rule), paths)))
    share = max(1, DRAWN_PIXELS // math.prod(tile) // len(sizes))
    rng, next_one, orders = np.random.default_rng(seed), dict[int, int](), dict[int, list[int]]()
    picture, corners = list[int](), list[tuple[int, int]]()
    for number in rng.permutation(len(sizes)).tolist():
        count = count_of(sizes[number], tile, overlap)
        order = orders.setdefault(count, rng.permutation(count).tolist())
        first = next_one.get(count, 0)
        chosen = {order[(first + one) % count] for one in range(min(share, count))}
        next_one[count] = first + len(chosen)
        every = list(places(sizes[number], tile, overlap))
        corners += [(every[one].row, every[one].column) for one in sorted(chosen)]
        picture += [number] * len(chosen)
    by_picture = np.argsort(picture, kind="stable")
    return Drawn(torch.tensor(picture)[by_picture], [corners[one] for one in by_picture])


@torch.no_grad()
def extract_tiles(
    model: FastFlow, paths: Sequence[Path | Picture], drawn: Drawn, *, storage: FeatureStorage | None = None
) -> list[Tensor]:
    """As `fastflow.features.extract_features`, of drawn tiles: one tensor (T, C_s, h_s, w_s) per scale.

    Raises:
        BadImage: a file that cannot be decoded. OSError: they fit neither the memory allowed nor the disk.
    """
    tile, device = model.config.image_size, model.mean.device
    counts = torch.bincount(drawn.picture, minlength=len(paths)).tolist()
    sizes = zip(model.backbone.channels, model.backbone.feature_sizes, strict=True)
    shapes: list[tuple[int, ...]] = [(len(drawn.corners), channels, *size) for channels, size in sizes]
    store, row = allocate(shapes, storage or FeatureStorage(), device), 0
    at_a_time = max(1, TILE_PIXELS_AT_ONCE // math.prod(tile))
    for part in batches(len(paths), at_once(model.frame, len(paths))):
        pictures = read_pictures(paths[part], model.frame)
        for image, size, count in zip(pictures.images, pictures.sizes, counts[part], strict=True):
            shown = torch.minimum(size, torch.tensor(tile))
            whole = image[:, : int(size[0]), : int(size[1])].numpy()
            for some in batches(count, at_a_time):
                rows = range(row, row + count)[some]
                tiles = torch.from_numpy(cut(whole, [drawn.corners[one] for one in rows], tile)).to(device)
                inside = model.inside(shown.expand(len(tiles), 2).to(device))
                for kept, features in zip(store, model.extract(tiles, inside), strict=True):
                    kept[rows.start : rows.stop] = features
            row += count
    return store


class PictureScores:
    """The scores of pictures by a model that looks at tiles: as `fastflow.crossfit.score_normal`'s, of files."""

    def __init__(self, paths: Sequence[Path | Picture]) -> None:
        self.paths = paths

    def __call__(self, model: FastFlow, *, rows: Tensor) -> NormalScores:
        """Those of the pictures `rows`, one after the other."""
        tiling = tiling_of(model.config, threshold=math.inf)
        assert tiling is not None
        run, scores, kept = tiling.over(tile_run(model)), list[float](), list[Tensor]()
        stride = max(1, round(MAP_STRIDE_PIXELS * math.sqrt(math.prod(tiling.tile) / USUAL_AREA)))
        for number in rows.tolist():
            pictures = read_pictures([self.paths[number]], model.frame)
            found = run(pictures.images.numpy(), pictures.sizes.numpy())
            scores.append(float(found.pred_score[0]))
            kept.append(torch.from_numpy(found.anomaly_map[0, 0, ::stride, ::stride].copy()).flatten())
        return NormalScores(torch.tensor(scores), torch.stack(kept), torch.zeros_like(rows), 0)
