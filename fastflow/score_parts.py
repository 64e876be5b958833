"""What an image score is made of: the share of each scale, its two terms, and the place.

Once its top pixels are chosen, the image score is linear in the scores of positions: blending, blurring and averaging
are. So it is the sum of gradient times position score over all positions (Euler's theorem), and what a scale adds is
exact. The same gradient weighs the positions where a scale's two terms are read: half the mean square of z (`latent`)
and the weighted log-determinant, which together are its raw score (`fastflow.score.raw_score`).

Legend: N pictures, S scales.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from fastflow.detector import not_finite
from fastflow.frame import Size
from fastflow.maps import Map
from fastflow.metrics.regions import EIGHT_CONNECTED
from fastflow.model import FastFlow
from fastflow.score import image_score


class Place(NamedTuple):
    """In the picture's own pixels, from the upper left corner: a box, the `peak` of what the score is taken from, and
    the fraction of the deciding pixels that lie in the box."""

    x: int
    y: int
    width: int
    height: int
    peak_x: int
    peak_y: int
    fraction: float


class Parts(NamedTuple):
    """Of N pictures: pred_score (N,). `terms` (N, S, 3), float64: the share of each scale, all together the score, and
    its two terms, latent and log-determinant, in bits per dimension, at the places that decided. (N, 1, H, W) each:
    anomaly_map and `judged` of `fastflow.model.Maps`, and the weight of each pixel of `judged` in the score."""

    pred_score: Tensor
    terms: Tensor
    anomaly_map: Tensor
    judged: Tensor
    weight: Tensor


def parts_of(model: FastFlow, features: list[Tensor]) -> Parts:
    """What the scores of pictures are made of; on the CPU."""
    rule, decided = model.rule, list[Tensor]()
    with torch.no_grad():
        latents = model.latents(features)
        scores = model.position_scores(latents)
    with torch.enable_grad():
        scores = [score.detach().requires_grad_() for score in scores]
        maps = model.maps(scores, features)
        pred_score = image_score(maps.judged, top_fraction=rule.top_fraction, inside=maps.inside)
        *gradients, weight = torch.autograd.grad(pred_score.sum(), [*scores, maps.judged])
    for (z, log_det), score, gradient in zip(latents, scores, gradients, strict=True):
        by_position = gradient.double()
        share = (by_position * score.detach().double()).sum(dim=(1, 2))
        mean = by_position / by_position.sum(dim=(1, 2), keepdim=True)
        gaussian = z.double().square().mean(dim=1) / 2 + math.log(2 * math.pi) / 2
        volume = -rule.log_det_weight * log_det.double() / z.shape[1]
        bits = [(mean * nats).sum(dim=(1, 2)) / math.log(2) for nats in (gaussian, volume)]
        decided.append(torch.stack([share, *bits], dim=1))
    shown = (maps.anomaly_map.detach().cpu(), maps.judged.detach().cpu(), weight.cpu())
    return Parts(pred_score.detach().cpu(), torch.stack(decided, dim=1).cpu(), *shown)


def require_finite_terms(names: Sequence[object], parts: Parts) -> None:
    """Raises NotFinite at the first picture with a term that is no number: beyond what floating point can hold."""
    for name, terms in zip(names, parts.terms, strict=True):
        if not bool(terms.isfinite().all()):
            raise not_finite(name, float(terms.sum()))


def deciding_place(judged: Map, weight: NDArray[np.float32], shape: Size) -> Place:
    """Where the most of the score comes from: the pixels that decide, of a map (h, w) with their `weight` in the score,
    in the parts that hang together; in a picture of `shape` (height, width)."""
    decided = weight > 0
    labels: NDArray[np.int32]
    labels, count = ndimage.label(decided, EIGHT_CONNECTED)
    numbers = range(1, count + 1)
    # of these the one with the highest place, as the eye finds it; ties by size
    by_peak = ndimage.maximum(judged, labels, numbers)
    sizes = ndimage.sum_labels(decided, labels, numbers)
    chosen = max(range(count), key=lambda number: (by_peak[number], sizes[number]))
    rows, columns = ndimage.find_objects(labels)[chosen]
    row, column = np.unravel_index(int(np.where(labels == chosen + 1, judged, -np.inf).argmax()), judged.shape)
    down, right = shape[0] / judged.shape[0], shape[1] / judged.shape[1]
    top, left = math.floor(rows.start * down), math.floor(columns.start * right)
    bottom, end = math.ceil(rows.stop * down), math.ceil(columns.stop * right)
    return Place(
        x=left,
        y=top,
        width=end - left,
        height=bottom - top,
        peak_x=min(shape[1] - 1, int((column + 0.5) * right)),
        peak_y=min(shape[0] - 1, int((row + 0.5) * down)),
        fraction=float(sizes[chosen] / decided.sum()),
    )
