"""Fit the flows to the features of good images: maximum likelihood, a fixed budget, the last epoch counts.

Nothing here sees a test image: no early stopping, no choice between epochs.
"""

import logging
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from fastflow.augment import Augmented
from fastflow.errors import NonFiniteLoss
from fastflow.features import features_of
from fastflow.model import FastFlow
from fastflow.precision import in_bfloat16
from fastflow.score import raw_score

WARMUP_STEPS = 10
ACTIVATION_BYTES = 2**31  # what a micro-batch may take where no size is given
_KEPT_PER_COUPLING = 4  # tensors as large as its features that a coupling keeps for the backward pass, about
log = logging.getLogger(__name__)


class Epoch(NamedTuple):
    """One pass over the training images: 1-based number, mean loss in bits per dimension, wall seconds."""

    epoch: int
    loss: float
    seconds: float


def train_epochs(
    model: FastFlow,
    features: list[Tensor],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    rows: Tensor | None = None,
    augmented: Augmented | None = None,
    precision: str = "fp32",
    micro_batch: int | None = None,
) -> Iterator[Epoch]:
    """Trains `model` in place on features [(N, C_s, h_s, w_s)] and yields after each epoch.

    Adam; the learning rate warms up, then falls along a cosine to 0, so that the last weights are settled ones and
    the last epoch needs no choosing. Images come in an order drawn from `seed`; where `rows` (indices) are given,
    only those are trained on. `augmented` gives each batch's features in the place of `features`. `micro_batch` is
    how many images are computed at once: fewer need less memory, and change results by rounding alone; by default
    as many as ACTIVATION_BYTES hold, and half of it where memory runs out.

    Raises:
        NonFiniteLoss: the loss of a batch is NaN or infinite.
        ValueError: an unknown precision.
    """
    rows = torch.arange(len(features[0])) if rows is None else rows
    count = len(rows)
    steps = math.ceil(count / batch_size)
    generator = torch.Generator().manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, total=epochs * steps))
    step = OptimizerStep(model, optimizer, precision=precision, micro_batch=micro_batch)
    device = model.mean.device
    for epoch in range(1, epochs + 1):
        start, total = time.perf_counter(), 0.0
        shuffled = rows[torch.randperm(count, generator=generator)]
        for chosen in shuffled.split(batch_size):
            part = augmented(chosen, generator) if augmented else features_of(features, chosen, device=device)
            loss = step(part)
            if not math.isfinite(loss):
                raise NonFiniteLoss(
                    f"the loss is {loss} in epoch {epoch}; lower train.learning_rate (now {learning_rate})"
                )
            schedule.step()
            total += loss * len(chosen)
        yield Epoch(epoch, total / count, time.perf_counter() - start)


def rate_factor(step: int, *, total: int) -> float:
    """The learning rate at a step counted from 0, as a fraction of the highest: warm-up times cosine decay."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * step / total)) / 2


class OptimizerStep:
    """One step of the optimiser on a batch's features; returns the mean loss."""

    def __init__(
        self, model: FastFlow, optimizer: torch.optim.Optimizer, *, precision: str, micro_batch: int | None
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.device = model.mean.device
        self.bfloat16 = in_bfloat16(precision, self.device)
        self.micro_batch = micro_batch or fitting_micro_batch(model)

    def __call__(self, features: list[Tensor]) -> float:
        while True:
            try:
                loss = self._accumulate(features)
                break
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or self.micro_batch == 1:
                    raise
                self.micro_batch = max(1, min(self.micro_batch, len(features[0])) // 2)
                log.warning("out of memory: going on with %d images at once", self.micro_batch)
        self.optimizer.step()
        return loss

    def _accumulate(self, features: list[Tensor]) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        count, total = len(features[0]), 0.0
        for parts in zip(*(f.split(self.micro_batch) for f in features), strict=True):
            share = len(parts[0]) / count
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = self.model.loss(list(parts)) * share
            loss.backward()
            total += loss.item()
        return total


def fitting_micro_batch(model: FastFlow) -> int:
    """How many images ACTIVATION_BYTES hold, by a count of what their couplings keep for the backward pass."""
    sizes = zip(model.backbone.channels, model.backbone.feature_sizes, strict=True)
    values = sum(channels * height * width for channels, (height, width) in sizes)
    kept = 4 * values * _KEPT_PER_COUPLING * model.config.flow_steps * model.config.couplings
    return max(1, ACTIVATION_BYTES // kept)


def _out_of_memory(error: BaseException) -> bool:
    """Of the GPU, or of the host: PyTorch's allocator for CPUs says so in words alone."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)


@torch.no_grad()
def calibrate(model: FastFlow, features: list[Tensor], *, batch_size: int, rows: Tensor | None = None) -> None:
    """Sets each scale's normal range from the features of good images: 99 % quantile and spread of raw scores.

    `rows`: the indices of the images that count; all if not given.
    """
    rows = torch.arange(len(features[0])) if rows is None else rows
    scales: list[list[Tensor]] = [[] for _ in features]
    for chosen in rows.split(batch_size):
        part = features_of(features, chosen, device=model.mean.device)
        for values, (z, log_det) in zip(scales, model.latents(part), strict=True):
            values.append(raw_score(z, log_det, log_det_weight=model.rule.log_det_weight).flatten().cpu())
    for scale, values in enumerate(scales):
        raw = torch.cat(values)
        rank = max(1, math.ceil(0.99 * len(raw)))
        model.normal_center[scale] = raw.kthvalue(rank).values
        model.normal_spread[scale] = raw.std().clamp_min(1e-6)
