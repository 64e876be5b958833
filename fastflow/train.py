"""Fit the flows to the features of good images: maximum likelihood, a fixed budget, the last epoch counts.

Nothing here sees a test image: no early stopping, no choice between epochs.
"""

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from fastflow.errors import NonFiniteLoss
from fastflow.model import FastFlow
from fastflow.score import raw_score

WARMUP_STEPS = 10


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
) -> Iterator[Epoch]:
    """Trains `model` in place on features [(N, C_s, h_s, w_s)] and yields after each epoch.

    Adam; the learning rate warms up, then falls along a cosine to 0, so that the last weights are settled ones and
    the last epoch needs no choosing. Images come in an order drawn from `seed`; where `rows` (indices) are given,
    only those are trained on.

    Raises:
        NonFiniteLoss: the loss of a batch is NaN or infinite.
    """
    rows = torch.arange(len(features[0])) if rows is None else rows
    count = len(rows)
    steps = math.ceil(count / batch_size)
    order = torch.Generator().manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, total=epochs * steps))
    for epoch in range(1, epochs + 1):
        start, total = time.perf_counter(), 0.0
        shuffled = rows[torch.randperm(count, generator=order)]
        for chosen in shuffled.to(features[0].device).split(batch_size):
            loss = _step(model, [f[chosen] for f in features], optimizer)
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


def _step(model: FastFlow, features: list[Tensor], optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = model.loss(features)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def calibrate(model: FastFlow, features: list[Tensor], *, batch_size: int, rows: Tensor | None = None) -> None:
    """Sets each scale's normal range from the features of good images: 99 % quantile and spread of raw scores.

    `rows`: the indices of the images that count; all if not given.
    """
    rows = torch.arange(len(features[0])) if rows is None else rows
    scales: list[list[Tensor]] = [[] for _ in features]
    for part in rows.split(batch_size):
        for values, (z, log_det) in zip(scales, model.latents([f[part] for f in features]), strict=True):
            values.append(raw_score(z, log_det, log_det_weight=model.rule.log_det_weight).flatten().cpu())
    for scale, values in enumerate(scales):
        raw = torch.cat(values)
        rank = max(1, math.ceil(0.99 * len(raw)))
        model.normal_center[scale] = raw.kthvalue(rank).values
        model.normal_spread[scale] = raw.std().clamp_min(1e-6)
