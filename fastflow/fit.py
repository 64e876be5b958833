"""Fit a model to the features of good images: the final training on all of them, and a training for each fold, whose
model scores the images it has not seen. From those scores come threshold and normal ranges.

Every program that trains calls `fit`; what it adds of its own (progress, interruption) it attaches as `Hooks`.
"""

import copy
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastflow.augment import Augmented, drawn_variants
from fastflow.crossfit import NormalScores, TiledImages, held_out_scores, scorer
from fastflow.mirror import CROWDED_FRACTION, Mirrored
from fastflow.model import FastFlow
from fastflow.noise import AUTO, bits, exceedance, noise_levels
from fastflow.train import Epoch, Pace, Training, calibrate

FINAL = 0
"""The final training's number; those of the folds count from 1, and on where they are trained again."""


class Progress(NamedTuple):
    """An epoch of one training of a fit: of how many `epochs`, on how many `images`.

    `seconds` were spent on epochs of this fit so far, and `seconds_left` is an estimate for all of it. `resumed` epochs
    were done before a restored state was saved.
    """

    fold: int
    epoch: Epoch
    epochs: int
    images: int
    seconds: float
    seconds_left: float
    resumed: bool


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What a caller attaches to each training of a fit; the int is the fold's number, or FINAL.

    Raising in a hook ends the fit.
    """

    on_start: Callable[[int, Training], None] = _nothing
    """Before the first step: the place to restore a saved state."""
    on_step: Callable[[int, Training], None] = _nothing
    """After each step: the place to save a state."""
    on_end: Callable[[int, Training], None] = _nothing
    """After the last step."""
    on_epoch: Callable[[Progress], None] = _nothing
    """After each epoch, and once for each that a restored state has behind it."""


class Fitted(NamedTuple):
    """The final training's epochs, scores of all N training images, each scale's noise (standard deviation), and the
    scales, counted from 0, that were trained on mirror images, too."""

    epochs: list[Epoch]
    normal: NormalScores
    noise: tuple[float, ...]
    mirrored: tuple[int, ...] = ()


def fit(
    model: FastFlow,
    features: list[Tensor],
    *,
    folds: int | None,
    seed: int,
    inference_batch: int,
    contents: Sequence[Hashable] | None = None,
    tiled: TiledImages | None = None,
    min_steps: int = 0,
    noise: float | str = 0.0,
    augmented: Augmented | None = None,
    mirrored: Mirrored | None = None,
    hooks: Hooks | None = None,
    **settings: Any,
) -> Fitted:
    """Trains and calibrates `model` in place on features [(N, C_s, h_s, w_s)] of good images; `tiled`: of their tiles.

    Scores of the training images come from the models of `folds` (at least 2), which have not seen them; None: its own,
    which promise nothing. `contents`: equal for copies of one image, which share a fold; None: all differ. `settings`:
    those of `fastflow.train.Training`. `inference_batch`: images scored at once; it changes no result. `min_steps`: no
    training has fewer. `augmented`: features of augmented images, in the place of `features` while training. `noise`:
    the standard deviation added to features while training, of all scales; or `fastflow.noise.AUTO`: as each scale of
    the folds needs it for images that it has not seen. `mirrored`: flipped images' features to try, where noise is AUTO
    and a scale needs much.

    Raises:
        ValueError: settings that do not fit, fewer than 2 folds, or than 2 images that differ.
        NonFiniteLoss: the loss of a batch is NaN or infinite.
    """
    count, scales = len(features[0]), len(features)
    lowest = noise_levels([0.0] * scales) if noise == AUTO else (float(noise),) * scales
    contents = range(tiled.num_images if tiled else count) if contents is None else contents
    trainings, settings = min(folds or 1, len(set(contents))), settings | {"seed": seed, "noise": lowest}
    fitting = _Fitting(features, augmented, hooks or Hooks(), settings, min_steps, model.mean.device)
    fresh = copy.deepcopy(model, {id(model.backbone): model.backbone})  # the backbone is frozen: shared
    if folds is None:
        trained, score = fitting.train(model, torch.arange(count), FINAL), scorer(features, tiled, inference_batch)
        return Fitted(trained, score(model, rows=torch.arange(len(contents))), lowest)
    settled: dict[str, Any] = {"contents": contents, "folds": folds, "seed": seed, "batch_size": inference_batch}
    held_out = partial(held_out_scores, fresh, features, tiled=tiled, **settled)

    def hold_out() -> NormalScores:
        first = fitting.begin(count, trainings)
        return held_out(fit=lambda part, rows, number: fitting.train_fold(part, rows, first + number))

    normal, kept = hold_out(), tuple[int, ...]()
    if noise == AUTO:
        normal, kept = _regularised(fitting, hold_out, normal, mirrored)
    return Fitted(fitting.train(model, torch.arange(count), FINAL), normal, fitting.settings["noise"], kept)


def _regularised(
    fitting: "_Fitting", hold_out: Callable[[], NormalScores], normal: NormalScores, mirrored: Mirrored | None
) -> tuple[NormalScores, tuple[int, ...]]:
    """The folds trained again as their held-out images, of the scores `normal`, say that they must be: their scores
    then, and the scales that mirror images are trained on, too. `fitting` trains in that way from here on."""
    kept: tuple[int, ...] = ()
    shares = fitting.mean(fitting.exceedances)
    crowded = [scale for scale, share in enumerate(shares) if share > CROWDED_FRACTION]
    if mirrored and crowded and not fitting.augmented:
        normal, kept, shares = _mirrored(fitting, mirrored(crowded), hold_out, shares)
    if (needed := noise_levels(shares)) != fitting.settings["noise"]:
        fitting.settings["noise"] = needed
        normal = hold_out()
    return normal, kept


def _mirrored(
    fitting: "_Fitting",
    mirrors: dict[int, list[Tensor]],
    hold_out: Callable[[], NormalScores],
    shares: list[float],
) -> tuple[NormalScores, tuple[int, ...], list[float]]:
    """The folds trained on mirror images, too; the scales for which that made held-out images likelier, which keep
    them, and the exceedances (`shares` before) with those of these scales as they are now."""
    before = fitting.mean(fitting.bits)
    fitting.mirror(mirrors)
    normal = hold_out()
    now, now_shares = fitting.mean(fitting.bits), fitting.mean(fitting.exceedances)
    kept = tuple(scale for scale in mirrors if now[scale] < before[scale])
    fitting.mirror({scale: mirrors[scale] for scale in kept})
    return normal, kept, [now_shares[s] if s in kept else share for s, share in enumerate(shares)]


class _Fitting:
    """The trainings of one fit. `waiting`: images times epochs, of all trainings that have not begun."""

    def __init__(
        self,
        features: list[Tensor],
        augmented: Augmented | None,
        hooks: Hooks,
        settings: dict[str, Any],
        min_steps: int,
        device: torch.device,
    ) -> None:
        self.device = device
        self.features, self.augmented, self.hooks, self.settings = features, augmented, hooks, settings
        self.min_steps, self.passes, self.pace = min_steps, 0, Pace()
        self.waiting = len(features[0]) * self.epochs(len(features[0]))
        # of each fold's model, by scale, on the images that it has not seen
        self.exceedances: list[list[float]] = []
        self.bits: list[list[float]] = []

    def begin(self, count: int, trainings: int) -> int:
        """Begins the folds, or begins them again; the number that theirs are added to."""
        self.exceedances, self.bits = [], []
        in_folds = count * (trainings - 1)  # K folds of N images leave K * (N - N / K) to their own trainings
        self.waiting += in_folds * self.epochs(in_folds // trainings)
        self.passes += 1
        return FINAL + (self.passes - 1) * trainings

    def epochs(self, images: int) -> int:
        """Of a training on so many. A fold's model that is trained less than the final one fits its images less
        closely, and its scores of others promise too little."""
        steps = math.ceil(images / int(self.settings["batch_size"]))
        return max(int(self.settings["epochs"]), math.ceil(self.min_steps / steps))

    def mirror(self, mirrors: dict[int, list[Tensor]]) -> None:
        """Trains these scales on mirror images, too, from here on."""
        self.augmented = drawn_variants(self.features, mirrors, device=self.device) if mirrors else None

    def train_fold(self, model: FastFlow, rows: Tensor, number: int) -> None:
        """One fold's training; stores what its model says of the images that it has not seen."""
        self.train(model, rows, number)
        unseen = torch.ones(len(self.features[0]), dtype=torch.bool)
        unseen[rows] = False
        others, batch = torch.nonzero(unseen)[:, 0], self.settings["batch_size"]
        self.exceedances.append(exceedance(model, self.features, others, batch_size=batch))
        self.bits.append(bits(model, self.features, others, batch_size=batch))

    @staticmethod
    def mean(of_folds: list[list[float]]) -> list[float]:
        """Each scale's, over the folds."""
        return torch.tensor(of_folds, dtype=torch.float64).mean(dim=0).tolist()

    def train(self, model: FastFlow, rows: Tensor, fold: int) -> list[Epoch]:
        """One training and its calibration."""
        training = Training(model, rows, **self.settings | {"epochs": self.epochs(len(rows))})
        self.waiting -= len(rows) * training.epochs
        self.hooks.on_start(fold, training)
        for epoch in training.done:
            self._report(fold, training, epoch, resumed=True)

        def on_step() -> None:
            self.hooks.on_step(fold, training)

        for epoch in training.run(self.features, augmented=self.augmented, on_step=on_step):
            self._report(fold, training, epoch, resumed=False)
        self.hooks.on_end(fold, training)
        calibrate(model, self.features, batch_size=training.batch_size, rows=rows)
        return training.done

    def _report(self, fold: int, training: Training, epoch: Epoch, *, resumed: bool) -> None:
        images = len(training.rows)
        left = images * (training.epochs - epoch.epoch) + max(0, self.waiting)
        self.pace.add(images, epoch.seconds, resumed=resumed)
        spent, ahead = self.pace.seconds, self.pace.of(left)
        self.hooks.on_epoch(Progress(fold, epoch, training.epochs, images, spent, ahead, resumed))
