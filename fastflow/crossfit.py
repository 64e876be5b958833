"""Scores of good images by models that were not trained on them: what a threshold may be taken from.

The training images are split into K folds; each fold is scored by a model trained, like the real one, on the others
(cross-fitting; Barber, Candes, Ramdas, Tibshirani, Predictive inference with the jackknife+, 2021). All N images
count, where a hold-out would spend a part of them.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fastflow.features import features_of
from fastflow.model import FastFlow

PIXEL_STRIDE = 4  # maps are smooth: one pixel in 16 tells their distribution
Fit = Callable[[FastFlow, Tensor, int], object]


class NormalScores(NamedTuple):
    """Of N good images: pred_score (N,), the maps' pixels (N, P), and the fold (N,) that each was held out in.

    `folds` is 0 where the scoring model was trained on the images themselves.
    """

    pred_score: Tensor
    pixels: Tensor
    fold: Tensor
    folds: int


def assign_folds(count: int, *, folds: int, seed: int) -> Tensor:
    """The fold 0..folds-1 of each of `count` images: sizes differ by one at most, members are drawn from `seed`."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    fold = torch.empty(count, dtype=torch.long)
    fold[order] = torch.arange(count) % folds
    return fold


def held_out_scores(
    fresh: FastFlow, features: list[Tensor], *, folds: int, seed: int, batch_size: int, fit: Fit
) -> NormalScores:
    """Each image's score by a model that `fit(model, rows, number)` has trained and calibrated on the other folds'
    rows; folds are numbered from 1.

    `fresh` is the untrained model; it is copied, and stays as it is. There are at most as many folds as images.

    Raises:
        ValueError: fewer than 2 folds or images.
    """
    count = len(features[0])
    folds = min(folds, count)
    if folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds and 2 images; got {folds} folds, {count} images")
    fold = assign_folds(count, folds=folds, seed=seed)
    held_out = [torch.nonzero(fold == k)[:, 0] for k in range(folds)]
    scored = []
    for k, rows in enumerate(held_out):
        model = copy.deepcopy(fresh, {id(fresh.backbone): fresh.backbone})  # the backbone is frozen: shared
        fit(model, torch.nonzero(fold != k)[:, 0], k + 1)
        scored.append(score_normal(model, features, batch_size=batch_size, rows=rows))
    order = torch.cat(held_out).argsort()
    pred_score, pixels = (torch.cat(parts)[order] for parts in zip(*(s[:2] for s in scored), strict=True))
    return NormalScores(pred_score, pixels, fold, folds)


@torch.no_grad()
def score_normal(
    model: FastFlow, features: list[Tensor], *, batch_size: int, rows: Tensor | None = None
) -> NormalScores:
    """Scores of images of the given rows, all by default, by one model; on the CPU."""
    rows = torch.arange(len(features[0])) if rows is None else rows
    device = model.mean.device
    made = [model.score(features_of(features, part, device=device)) for part in rows.split(batch_size)]
    maps = [p.anomaly_map[:, 0, ::PIXEL_STRIDE, ::PIXEL_STRIDE].flatten(1).cpu() for p in made]
    return NormalScores(torch.cat([p.pred_score for p in made]).cpu(), torch.cat(maps), torch.zeros_like(rows), 0)
