"""Two models on the same images: how their image_auroc differ, and how sure that is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Difference(NamedTuple):
    """image_auroc of the second minus the first model, and the lower end of its one-sided confidence interval."""

    value: float
    lower: float


def auroc_difference(
    first: ArrayLike, second: ArrayLike, gt_label: ArrayLike, *, confidence: float, resamples: int, seed: int = 0
) -> Difference:
    """Paired bootstrap, stratified by label: both models are resampled on the same images.

    The AUROC is the mean of a kernel over (defective, good) pairs, 1 where the defective one scores higher and 1/2
    for ties (Hanley and McNeil 1982). So each resample is a weighted mean of the kernels' difference, exactly.

    `first`, `second`: pred_score (N,); `gt_label` (N,), 0 normal, 1 anomalous.

    Raises:
        ValueError: no good or no defective image.
    """
    label = np.asarray(gt_label) == 1
    if label.all() or not label.any():
        raise ValueError(
            "an AUROC needs good and defective images; there are only " + ("defective" if label.any() else "good")
        )
    delta = _kernel(np.asarray(second), label) - _kernel(np.asarray(first), label)
    defective, good = delta.shape
    draw = np.random.default_rng(seed)
    rows = draw.multinomial(defective, np.full(defective, 1 / defective), size=resamples)
    columns = draw.multinomial(good, np.full(good, 1 / good), size=resamples)
    differences = (rows @ delta * columns).sum(axis=1) / delta.size
    return Difference(float(delta.mean()), float(np.quantile(differences, 1 - confidence)))


def _kernel(scores: NDArray[np.float64], label: NDArray[np.bool_]) -> NDArray[np.float64]:
    above = scores[label][:, None] - scores[~label][None, :]
    return (np.sign(above) + 1) / 2
