"""How much noise each scale's flow is trained with, from good images alone.

Gaussian noise on the normalised features makes a flow learn the density at the noise's scale (Webb, Training with
noise is equivalent to Tikhonov regularization, Neural Computation 1995, is the same idea for regression). A little
costs nothing; a flow that fits its training images too closely needs more. How closely it does, the folds show: of
the positions of images that a model has not seen, 1 % should lie above what 99 % of its training positions stay below.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fastflow.model import FastFlow
from fastflow.train import raw_scores

AUTO = "auto"
NOISE_LEVELS_SD = (0.1, 0.2, 0.5)
"""Standard deviations to choose from; normalised features have one of 1."""
TOLERATED_FRACTION = 0.035
"""The fraction of unseen positions above the training 99 % for which the lowest level is enough."""


@torch.no_grad()
def exceedance(model: FastFlow, features: list[Tensor], rows: Tensor, *, batch_size: int) -> list[float]:
    """For each scale, the share (0..1) of the positions of images `rows` above the end of the normal range, which
    `fastflow.train.calibrate` took from other images: 0.01 where both are alike."""
    scores = raw_scores(model, features, rows, batch_size=batch_size)
    ends = model.normal_center.cpu()
    return [float((raw > end).double().mean()) for raw, end in zip(scores, ends, strict=True)]


@torch.no_grad()
def bits(model: FastFlow, features: list[Tensor], rows: Tensor, *, batch_size: int) -> list[float]:
    """For each scale, the mean negative log-likelihood of the images `rows`, in bits per dimension."""
    scores = raw_scores(model, features, rows, batch_size=batch_size, log_det_weight=1.0)
    return [float(nats.double().mean()) / math.log(2) for nats in scores]


def noise_levels(shares: Sequence[float]) -> tuple[float, ...]:
    """The level of each scale from its exceedance: the lowest that grows with it in proportion, or the highest.

    Raises:
        ValueError: a share that is no number between 0 and 1.
    """
    if not all(0 <= share <= 1 for share in shares):  # NaN fails this, too
        raise ValueError(f"shares of unseen positions must lie between 0 and 1, got {list(shares)}")
    return tuple(
        next(
            (level for level in NOISE_LEVELS_SD if share <= TOLERATED_FRACTION * level / NOISE_LEVELS_SD[0]),
            NOISE_LEVELS_SD[-1],
        )
        for share in shares
    )
