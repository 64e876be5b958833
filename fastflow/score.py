"""From latents to anomaly: named ways to score a position, a map and an image.

Legend: z (B, C, h, w) and its per-position log-determinant (B, h, w) of one scale. Per position and channel,
`q` is half the mean square of z (the paper's exponent), `ld` the log-determinant divided by C, both in nats:
q - ld is the negative log-likelihood per dimension, up to the Gaussian's constant.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class ScoreRule(NamedTuple):
    """How a named score is made; `SCORES` holds them, and says why."""

    log_det_weight: float
    compress: str
    smoothing: float
    """Standard deviation of a Gaussian over the map, as a fraction of the image's height; 0 = none."""
    top_fraction: float
    """Image score = mean of this fraction of the highest pixels; 0 = the maximum alone."""
    image_weights: str = "equal"
    """How the image score weighs scales: all `equal`, as in the map, or by the `area` of the image that a position
    stands for, so that coarse scales, which see widely, decide on the image, and fine ones draw the map."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest score there can be; None where there is no bound."""
        return {"exp": (-1.0, 0.0), "sigmoid": (0.0, 1.0), "none": None}[self.compress]


SCORES = {
    # FastFlow, section 3.3, as both reproductions compute it: exp of -q, without determinant, maximum
    "paper": ScoreRule(log_det_weight=0.0, compress="exp", smoothing=0.0, top_fraction=0.0),
    # the true negative log-likelihood per dimension, in nats, averaged over scales
    "nll": ScoreRule(log_det_weight=1.0, compress="none", smoothing=0.0, top_fraction=0.0),
    # The default of models trained before 0.2. Half of the determinant is the safe middle between aligned and moving
    # parts. The sigmoid, centred where normal positions end, keeps strong responses from smearing when scales are
    # upsampled. A mean of top pixels is steadier than one pixel. docs/accuracy.md has the ablation.
    "likelihood": ScoreRule(log_det_weight=0.5, compress="sigmoid", smoothing=1 / 64, top_fraction=0.02),
    # The default: the same map, and an image score that is mostly the coarse scales'.
    "likelihood_by_area": ScoreRule(0.5, "sigmoid", smoothing=1 / 64, top_fraction=0.02, image_weights="area"),
}


class NormalRange(NamedTuple):
    """Where the raw scores of normal positions of one scale end (99 % quantile), and their standard deviation."""

    center: Tensor
    spread: Tensor


def raw_score(z: Tensor, log_det_jacobian: Tensor, *, log_det_weight: float) -> Tensor:
    """q - log_det_weight * ld of each position, (B, h, w), nats per dimension; with weight 1 the nll."""
    channels = z.shape[1]
    gaussian = z.square().mean(dim=1) / 2 + math.log(2 * math.pi) / 2
    return gaussian - log_det_weight * log_det_jacobian / channels


def total_nll(z: Tensor, log_det_jacobian: Tensor) -> Tensor:
    """The negative log-likelihood of all positions and channels together, nats; in few passes over memory."""
    gaussian: Tensor = torch.linalg.vector_norm(z).square() / 2 + z.numel() * math.log(2 * math.pi) / 2
    return gaussian - log_det_jacobian.sum()


def position_score(z: Tensor, log_det_jacobian: Tensor, *, rule: ScoreRule, normal: NormalRange) -> Tensor:
    """Anomaly score of each position, (B, h, w), higher is more anomalous.

    Range: [-1, 0] for compress "exp", (0, 1) for "sigmoid" (0.5 at the end of the normal range), unbounded for
    "none". Beyond what floating point can hold, a position is as anomalous as can be, never NaN.
    """
    if rule.compress == "exp":
        score = -torch.exp(-z.square().mean(dim=1) / 2)
        return score.nan_to_num(nan=0.0)
    raw = raw_score(z, log_det_jacobian, log_det_weight=rule.log_det_weight)
    highest = torch.finfo(raw.dtype).max
    raw = raw.nan_to_num(nan=highest, posinf=highest, neginf=highest)  # only broken latents leave the finite
    return torch.sigmoid((raw - normal.center) / normal.spread) if rule.compress == "sigmoid" else raw


def merge_scales(
    scores: list[Tensor], *, image_size: tuple[int, int], smoothing: float, weights: Sequence[float] | None = None
) -> Tensor:
    """Position scores [(B, h_s, w_s)] to one map (B, 1, H, W): bilinear to the image, mean over scales with `weights`
    (equal if None), then a Gaussian of standard deviation `smoothing` * H pixels."""
    maps = [functional.interpolate(s[:, None], size=image_size, mode="bilinear", align_corners=False) for s in scores]
    if weights is None:
        merged = torch.stack(maps).mean(dim=0)
    else:
        merged = torch.stack([weight * one for weight, one in zip(weights, maps, strict=True)]).sum(dim=0)
    return blur(merged, sigma=smoothing * image_size[0]) if smoothing else merged


def scale_weights(sizes: Sequence[tuple[int, int]], *, kind: str) -> list[float] | None:
    """Weights of scales in the image score, of sum 1, from their sizes (h_s, w_s); None where all are equal.

    `kind`: as `ScoreRule.image_weights`. By `area`, strides of 4, 8 and 16 weigh 1 : 4 : 16.
    """
    if kind == "equal" or len(sizes) == 1:
        return None
    areas = [1 / (height * width) for height, width in sizes]
    return [area / sum(areas) for area in areas]


def blur(anomaly_map: Tensor, *, sigma: float) -> Tensor:
    """Gaussian blur of (B, 1, H, W), `sigma` in pixels, cut at 3 sigma, edges replicated."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=anomaly_map.dtype, device=anomaly_map.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(anomaly_map, (radius,) * 4, mode="replicate")
    vertical = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(vertical, kernel.view(1, 1, 1, -1))


def image_score(anomaly_map: Tensor, *, top_fraction: float, inside: Tensor | None = None) -> Tensor:
    """anomaly_map (B, 1, H, W) to pred_score (B,): mean of the highest pixels; 0 means the maximum (paper).

    `inside` (B, 1, H, W), bool: the pixels that count, and of which the fraction is taken; None: all.
    """
    pixels = anomaly_map.flatten(1)
    count = max(1, round(top_fraction * pixels.shape[1]))
    if inside is None:
        return pixels.topk(count, dim=1).values.mean(dim=1)
    highest = pixels.masked_fill(~inside.flatten(1), -torch.inf).topk(count, dim=1).values
    counts = (top_fraction * inside.flatten(1).sum(dim=1)).round().clamp_min(1)[:, None]
    counted = torch.arange(count, device=pixels.device) < counts
    return torch.where(counted, highest, 0.0).sum(dim=1) / counts[:, 0]
