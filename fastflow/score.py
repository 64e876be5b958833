"""From latents to anomaly: named ways to score a position, and an image.

Legend: z (B, C, h, w) and its per-position log-determinant (B, h, w) of one scale; D = C dimensions a position.
A position's score comes from `q`, half the mean square of z (the paper's exponent), or from `nll`, the negative
log-likelihood per dimension *with* the log-determinant, in nats.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fastflow.config import Score


class NormalRange(NamedTuple):
    """Where the nll of normal positions of one scale ends, and how wide it is spread, in nats per dimension."""

    center: Tensor
    spread: Tensor


def position_nll(z: Tensor, log_det_jacobian: Tensor) -> Tensor:
    """Negative log-likelihood of each position, (B, h, w), nats per dimension; may be negative (a density)."""
    channels = z.shape[1]
    gaussian = z.square().mean(dim=1) / 2 + math.log(2 * math.pi) / 2
    return gaussian - log_det_jacobian / channels


def position_score(z: Tensor, log_det_jacobian: Tensor, *, score: Score, normal: NormalRange) -> Tensor:
    """Anomaly score of each position, (B, h, w), higher is more anomalous.

    paper: -exp(-q) in [-1, 0] (FastFlow, section 3.3, as both reproductions compute it: without determinant).
    nll: nats per dimension, unbounded.
    likelihood: the nll on the common footing of normal positions, compressed to (0, 1) so that strong
        responses do not smear when scales are upsampled and averaged.
    """
    if score == "paper":
        return -torch.exp(-z.square().mean(dim=1) / 2)
    nll = position_nll(z, log_det_jacobian)
    return nll if score == "nll" else torch.sigmoid((nll - normal.center) / normal.spread)


def merge_scales(scores: list[Tensor], *, image_size: tuple[int, int]) -> Tensor:
    """Position scores [(B, h_s, w_s)] to one anomaly_map (B, 1, H, W): bilinear to the image, mean over scales."""
    maps = [functional.interpolate(s[:, None], size=image_size, mode="bilinear", align_corners=False) for s in scores]
    return torch.stack(maps).mean(dim=0)


def image_score(anomaly_map: Tensor, *, top_fraction: float) -> Tensor:
    """anomaly_map (B, 1, H, W) to pred_score (B,): mean of the highest pixels; 0 means the maximum (paper)."""
    pixels = anomaly_map.flatten(1)
    count = max(1, round(top_fraction * pixels.shape[1]))
    return pixels.topk(count, dim=1).values.mean(dim=1)
