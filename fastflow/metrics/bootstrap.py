"""95 % intervals of the metrics: the range over other samples of as many test images.

Whole images are drawn again with replacement, good and defective ones apart, as in a test set of the same make-up;
the limits are the 2.5 % and 97.5 % quantiles of the metric over the draws (Efron and Tibshirani, An Introduction to
the Bootstrap, 1993, section 13.3). A drawn image is a weight, so a draw needs only sums of histograms: exact for image
metrics, and for pixels up to bins that hold at most 0.2 % of the background.

An interval covers the sampling of images alone, not another training's seed; where a metric is 1 on every draw
it has no width, which does not mean certainty.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastflow.metrics.pixel import aupro_name
from fastflow.metrics.regions import ImagePixels, Masks, split_images

Array = NDArray[np.float64]
Interval = tuple[float, float]
NUM_DRAWS = 1000
_NUM_BINS = 512  # evenly over the background, and as many again on a log scale towards its highest scores
_MAX_BACKGROUND_PIXELS = 2**21  # that the bins are laid by


class Histograms(NamedTuple):
    """Per image (N, K), over K bins of ascending score: normal and anomalous items, and regions' overlap.

    `overlap` adds 1 / (its region's size) for each defect pixel; `regions` (N,) counts regions.
    """

    negative: Array
    positive: Array
    overlap: Array
    regions: Array


def image_intervals(pred_score: ArrayLike, gt_label: ArrayLike, *, seed: int = 0) -> dict[str, Interval]:
    """Intervals of image_auroc, image_ap, image_f1_max_oracle from finite scores (N,), labels (N,) of 0 and 1.

    Empty with fewer than 2 images of a class: nothing can be drawn again.
    """
    labels = np.asarray(gt_label)
    score, place = np.unique(np.asarray(pred_score), return_inverse=True)
    one = np.zeros((len(labels), len(score)))
    one[np.arange(len(labels)), place] = 1
    zero = np.zeros(len(labels))
    counts = Histograms(one * (labels == 0)[:, None], one * (labels == 1)[:, None], one * 0, zero)
    names = {"image_auroc": auroc, "image_ap": average_precision, "image_f1_max_oracle": f1_max}
    return _intervals(counts, labels, names, seed)


def pixel_intervals(
    anomaly_maps: Sequence[ArrayLike],
    gt_masks: Masks,
    gt_label: ArrayLike,
    *,
    fpr_limits: Sequence[float] = (0.3, 0.05),
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of the metrics of `pixel_metrics`; arguments as there, with the images' labels (N,).

    An image of which everything is hidden is no sample of pixels, and one whose defects are is none of a defective one:
    a draw of such images alone would have no defect.
    """
    counts = pixel_histograms(split_images(anomaly_maps, gt_masks))
    sampled = counts.negative.any(axis=1) | (counts.regions > 0)
    labels = (np.asarray(gt_label) * (counts.regions > 0))[sampled]
    counts = Histograms(*(part[sampled] for part in counts))
    names: dict[str, Callable[[Histograms], Array]] = {
        "pixel_auroc": auroc,
        "pixel_ap": average_precision,
        "pixel_f1_max_oracle": f1_max,
    }
    for limit in fpr_limits:
        names[aupro_name(limit)] = lambda sums, limit=limit: aupro(sums, limit)  # type: ignore[misc]
    return _intervals(counts, labels, names, seed)


def mean_interval(values: ArrayLike, *, seed: int = 0) -> Interval | None:
    """Interval of the mean of per-image values (N,), such as AUPIMO's; None with fewer than 2."""
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return None
    return _limits(np.random.default_rng(seed).choice(found, (NUM_DRAWS, len(found))).mean(axis=1))


def pixel_histograms(images: Sequence[ImagePixels]) -> Histograms:
    """The images' pixels in bins laid by the quantiles of the pooled background."""
    edges = _edges(images)
    bins = len(edges) + 1
    rows = []
    for image in images:
        in_bin = np.searchsorted(edges, image.defect, "right")
        background = np.searchsorted(edges, image.part.background(), "right")
        counted = [np.bincount(place, minlength=bins) for place in (background, in_bin)]
        rows.append((*counted, np.bincount(in_bin, 1 / image.region_size, bins), image.n_regions))
    return Histograms(*(np.array(column, np.float64) for column in zip(*rows, strict=True)))


def _edges(images: Sequence[ImagePixels]) -> Array:
    total = sum(image.part.scores.size for image in images)
    step = max(1, total // _MAX_BACKGROUND_PIXELS)
    background = np.concatenate([image.part.background()[::step] for image in images])
    levels = np.r_[np.linspace(0, 1, _NUM_BINS), 1 - np.logspace(-6, 0, _NUM_BINS)]
    return np.unique(np.quantile(background, np.sort(levels))) if len(background) else np.zeros(0)


def _intervals(
    counts: Histograms, labels: NDArray[np.int64], names: Mapping[str, Callable[[Histograms], Array]], seed: int
) -> dict[str, Interval]:
    if min(np.count_nonzero(labels == kind) for kind in (0, 1)) < 2:
        return {}
    weights = draws(labels, seed)
    sums = Histograms(*(weights @ part for part in counts))
    return {name: _limits(metric(sums)) for name, metric in names.items()}


def draws(labels: NDArray[np.int64], seed: int, count: int = NUM_DRAWS) -> Array:
    """(count, N): how often each image is drawn, those of a label among themselves."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((count, len(labels)))
    for kind in (0, 1):
        members = np.flatnonzero(labels == kind)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), count)
    return weights


def _limits(values: Array) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _from_top(counts: Array) -> Array:
    """How many lie in each bin or above it."""
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1]


def auroc(sums: Histograms) -> Array:
    """(R,) of R rows of sums; items of one bin count as tied."""
    above = _from_top(sums.negative)
    below = above[:, :1] - above
    won = (sums.positive * (below + sums.negative / 2)).sum(axis=1)
    return np.asarray(won / above[:, 0] / sums.positive.sum(axis=1))


def average_precision(sums: Histograms) -> Array:
    tp, fp = _from_top(sums.positive), _from_top(sums.negative)
    return np.asarray((sums.positive * tp / np.maximum(tp + fp, 1)).sum(axis=1) / tp[:, 0])


def f1_max(sums: Histograms) -> Array:
    tp, fp = _from_top(sums.positive), _from_top(sums.negative)
    return np.asarray((2 * tp / (tp + fp + tp[:, :1])).max(axis=1))


def aupro(sums: Histograms, fpr_limit: float) -> Array:
    """The overlap of a bin comes in while the false positives go from those above it to those in it too."""
    at_least = _from_top(sums.negative)
    above = at_least - sums.negative
    limit = fpr_limit * at_least[:, :1]
    on_ramp = (limit - above).clip(0, sums.negative)
    area = (limit - at_least).clip(0) + on_ramp**2 / (2 * np.maximum(sums.negative, 1))
    return np.asarray((sums.overlap * area).sum(axis=1) / limit[:, 0] / sums.regions)
