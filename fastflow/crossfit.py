"""Scores of good images by models that were not trained on them: what a threshold may be taken from.

The training images are split into K folds; each fold is scored by a model trained, like the real one, on the others
(cross-fitting; Barber, Candes, Ramdas, Tibshirani, Predictive inference with the jackknife+, 2021). All N images
count, where a hold-out would spend a part of them. Copies of one image go into one fold: a model that was trained on
one of them has seen all.
"""

import copy
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fastflow.features import features_of
from fastflow.model import FastFlow

MAP_STRIDE_PIXELS = 4  # pixels; maps are smooth: one pixel in 16 gives their distribution
Fit = Callable[[FastFlow, Tensor, int], object]


class NormalScores(NamedTuple):
    """Of N good images: pred_score (N,), the maps' pixels (N, P), and the fold (N,) that each was held out in.

    `folds` is 0 where the scoring model was trained on the images themselves.
    """

    pred_score: Tensor
    pixels: Tensor
    fold: Tensor
    folds: int


class ScoreImages(Protocol):
    """The scores, by one model, of the images of the numbers `rows`; on the CPU."""

    def __call__(self, model: FastFlow, *, rows: Tensor) -> NormalScores: ...


class TiledImages(NamedTuple):
    """Images whose tiles are the rows of the features: the number of the image (T,) of each, and what scores whole
    images."""

    image: Tensor
    score: ScoreImages

    @property
    def num_images(self) -> int:
        """Each has a tile, at least."""
        return int(self.image.max()) + 1


def assign_folds(contents: Sequence[Hashable], *, folds: int, seed: int) -> Tensor:
    """The fold 0..folds-1 of each image, drawn from `seed`: images of equal `contents` share one, and sizes differ by
    one at most where all contents differ."""
    copies = Counter(contents)  # in the order of images
    drawn = torch.randperm(len(copies), generator=torch.Generator().manual_seed(seed)).tolist()
    distinct = list(copies)
    fold_of, sizes = {}, [0] * folds
    for content in sorted((distinct[number] for number in drawn), key=lambda content: -copies[content]):
        fold_of[content] = sizes.index(min(sizes))
        sizes[fold_of[content]] += copies[content]
    return torch.tensor([fold_of[content] for content in contents])


def held_out_scores(
    fresh: FastFlow,
    features: list[Tensor],
    *,
    contents: Sequence[Hashable],
    folds: int,
    seed: int,
    batch_size: int,
    fit: Fit,
    tiled: TiledImages | None = None,
) -> NormalScores:
    """Each image's score by a model that `fit(model, rows, number)` has trained and calibrated on the other folds'
    rows; folds are numbered from 1. `tiled`: of images whose rows are tiles; None: an image is a row.

    `fresh` is the untrained model; it is copied, and stays as it is. `contents`: equal for copies of one image, such as
    each file's hash, one an image. There are at most as many folds as contents.

    Raises:
        ValueError: fewer than 2 folds, or than 2 images that differ.
    """
    different = len(set(contents))
    if min(folds, different) < 2:
        raise ValueError(
            f"cross-fitting needs at least 2 folds, and 2 images that differ; got {folds} folds and "
            f"{len(contents)} images, of which {different} differ"
        )
    folds = min(folds, different)
    fold = assign_folds(contents, folds=folds, seed=seed)
    fold_of_row = fold if tiled is None else fold[tiled.image]
    score = scorer(features, tiled, batch_size)
    held_out = [torch.nonzero(fold == k)[:, 0] for k in range(folds)]
    scored = []
    for k, rows in enumerate(held_out):
        model = copy.deepcopy(fresh, {id(fresh.backbone): fresh.backbone})  # the backbone is frozen: shared
        fit(model, torch.nonzero(fold_of_row != k)[:, 0], k + 1)
        scored.append(score(model, rows=rows))
    order = torch.cat(held_out).argsort()
    pred_score, pixels = (torch.cat(parts)[order] for parts in zip(*(s[:2] for s in scored), strict=True))
    return NormalScores(pred_score, pixels, fold, folds)


def scorer(features: list[Tensor], tiled: TiledImages | None, batch_size: int) -> ScoreImages:
    """What scores images by their numbers: those of the features, or whole ones of which these are tiles."""
    return partial(score_normal, features=features, batch_size=batch_size) if tiled is None else tiled.score


@torch.no_grad()
def score_normal(
    model: FastFlow, features: list[Tensor], *, batch_size: int, rows: Tensor | None = None
) -> NormalScores:
    """Scores of images of the given rows, all by default, by one model; on the CPU."""
    rows = torch.arange(len(features[0])) if rows is None else rows
    device = model.mean.device
    made = [model.score(features_of(features, part, device=device)) for part in rows.split(batch_size)]
    maps = [_thinned(model, p.anomaly_map).cpu() for p in made]
    return NormalScores(torch.cat([p.pred_score for p in made]).cpu(), torch.cat(maps), torch.zeros_like(rows), 0)


def _thinned(model: FastFlow, anomaly_map: Tensor) -> Tensor:
    """Some pixels (B, P) of maps (B, 1, H, W); of a region of interest, which may be thin, as many of its own."""
    if model.roi is None:
        return anomaly_map[:, 0, ::MAP_STRIDE_PIXELS, ::MAP_STRIDE_PIXELS].flatten(1)
    inside = model.roi.pixels.flatten().nonzero()[:, 0]
    return anomaly_map.flatten(1)[:, inside[:: MAP_STRIDE_PIXELS**2]]
