"""Two models on the same images: how their image_auroc and aupro differ, and how sure that is.

Images are drawn again with replacement, good and defective ones apart, the same for both models (Efron and Tibshirani,
An Introduction to the Bootstrap, 1993, section 13.3). Where no draw differs, its limits have no width, which does not
mean certainty: an exact limit takes their place.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastflow.metrics.bootstrap import Histograms, aupro, draws
from fastflow.metrics.rates import upper_limit

Array = NDArray[np.float64]


class Difference(NamedTuple):
    """The second model's metric minus the first one's, and the ends of its two one-sided confidence intervals.
    `exact`: no draw differed, so that the limits are those of no change among the images of the rarer kind."""

    value: float
    lower: float
    upper: float
    exact: bool = False


def auroc_difference(
    first: ArrayLike, second: ArrayLike, gt_label: ArrayLike, *, confidence: float, resamples: int, seed: int = 0
) -> Difference:
    """Of image_auroc.

    The AUROC is the mean of a kernel over (defective, good) pairs, 1 where the defective one scores higher and 1/2
    for ties (Hanley and McNeil 1982). So each resample is a weighted mean of the kernels' difference, exactly.

    `first`, `second`: pred_score (N,); `gt_label` (N,), 0 normal, 1 anomalous.

    Raises:
        ValueError: no good or no defective image.
    """
    label = _both(gt_label)
    delta = _kernel(np.asarray(second), label) - _kernel(np.asarray(first), label)
    return _limits(float(delta.mean()), _resampled(delta, resamples, seed), confidence, rarer=min(delta.shape))


def auroc_lower_limit(
    pred_score: ArrayLike, gt_label: ArrayLike, *, confidence: float, resamples: int, seed: int = 0
) -> float:
    """The lower end of the one-sided confidence interval of one model's image_auroc. Raises as `auroc_difference`.

    No draw of a faultless ranking differs, so the exact limit of that bounds the bootstrap's: an AUROC of `a` ranks n
    pairs that share no image without a mistake, and so all images, with probability a^n at most.
    """
    kernel = _kernel(np.asarray(pred_score), _both(gt_label))
    of_faultless = 1 - upper_limit(0, min(kernel.shape), confidence=confidence)
    return min(of_faultless, float(np.quantile(_resampled(kernel, resamples, seed), 1 - confidence)))


def aupro_difference(
    first: Histograms,
    second: Histograms,
    gt_label: ArrayLike,
    *,
    confidence: float,
    resamples: int,
    fpr_limit: float = 0.3,
    seed: int = 0,
) -> Difference:
    """Of aupro, up to the bins of `fastflow.metrics.bootstrap.pixel_histograms`, of which both models have their own.

    Raises:
        ValueError: no good or no defective image.
    """
    label = _both(gt_label).astype(np.int64)
    weights = draws(label, seed, resamples)
    all_once = np.ones((1, len(label)))
    both = [[_aupro(one, rows, fpr_limit) for one in (first, second)] for rows in (all_once, weights)]
    (found, resampled) = (after - before for before, after in both)
    return _limits(float(found[0]), resampled, confidence, rarer=int(np.bincount(label).min()))


def _aupro(one: Histograms, weights: Array, fpr_limit: float) -> Array:
    return aupro(Histograms(*(weights @ part for part in one)), fpr_limit)


def _both(gt_label: ArrayLike) -> NDArray[np.bool_]:
    label: NDArray[np.bool_] = np.asarray(gt_label) == 1
    if label.all() or not label.any():
        raise ValueError(
            "good and defective images are needed; there are only " + ("defective" if label.any() else "good")
        )
    return label


def _limits(value: float, resampled: Array, confidence: float, *, rarer: int) -> Difference:
    """A share of images on which the models differ, and of which none is here, moves the metric by that share at most:
    `rarer` images of a kind leave it possible, up to the limit of 0 of them, about 3 / `rarer`."""
    if resampled.min() == resampled.max():
        unseen = upper_limit(0, rarer, confidence=confidence)
        return Difference(value, value - unseen, value + unseen, exact=True)
    lower, upper = np.quantile(resampled, [1 - confidence, confidence])
    return Difference(value, float(lower), float(upper))


def _resampled(kernel: Array, resamples: int, seed: int) -> Array:
    """(resamples,) means of a kernel (defective, good), either side drawn again."""
    defective, good = kernel.shape
    draw = np.random.default_rng(seed)
    rows = draw.multinomial(defective, np.full(defective, 1 / defective), size=resamples)
    columns = draw.multinomial(good, np.full(good, 1 / good), size=resamples)
    return np.asarray((rows @ kernel * columns).sum(axis=1) / kernel.size)


def _kernel(scores: Array, label: NDArray[np.bool_]) -> Array:
    above = scores[label][:, None] - scores[~label][None, :]
    return np.asarray((np.sign(above) + 1) / 2)
