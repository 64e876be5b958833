"""AUPIMO: per anomalous image, the recall of its defect at false positive rates that a factory can live with.

Bertoldo, Ameln, Vaidya and Akcay, AUPIMO: Redefining Anomaly Localization Benchmarks with High Speed and Low
Tolerance (arXiv 2401.01984).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastflow.metrics.counting import Part, Scores, count_above
from fastflow.metrics.regions import Masks, split_images
from fastflow.metrics.value import Value, undefined


class Aupimo(NamedTuple):
    """`per_image` has a value for each anomalous image, in the order given; `mean` is over those."""

    mean: Value
    per_image: list[Value]


def aupimo(
    anomaly_maps: Sequence[ArrayLike],
    gt_masks: Masks,
    *,
    fpr_bounds: tuple[float, float] = (1e-5, 1e-4),
    image_paths: Sequence[object] | None = None,
) -> Aupimo:
    """Mean recall of an image's defect pixels over the shared FPR, log-spaced between `fpr_bounds`, in 0..1.

    Maps and masks are as in `fastflow.metrics.pixel`. The shared FPR of a threshold is the mean, over the
    normal images only, of the fraction of an image's pixels at or above it. At each FPR the lowest threshold
    that does not exceed it counts. The area is exact: a step curve, integrated without sampled thresholds.
    With fewer than 1 / upper bound normal pixels it is the recall without any false positive.

    Raises ValueError, naming the image, for a NaN or infinite score and for shapes that do not fit.
    """
    lower, upper = fpr_bounds
    if not 0 < lower < upper <= 1:
        raise ValueError(f"fpr_bounds: got {fpr_bounds}; give two rates with 0 < lower < upper <= 1")
    images = split_images(anomaly_maps, gt_masks, image_paths=image_paths)
    normal = [image.part for image in images if not image.n_regions]
    lacks = "there is no normal image" if not normal else ""
    if len(normal) == len(images):
        lacks = "there is no anomalous image"
    if lacks:
        why = "the image is normal" if normal else lacks
        return Aupimo(undefined(lacks), [undefined(why) for _ in images])
    recall = iter(_mean_recalls([image.defect for image in images if image.n_regions], normal, lower, upper))
    per_image = [Value(next(recall)) if i.n_regions else undefined("the image is normal") for i in images]
    defined = [value for value, _ in per_image if value is not None]
    return Aupimo(Value(math.fsum(defined) / len(defined)), per_image)


def _mean_recalls(defects: Sequence[Scores], normal: Sequence[Part], lower: float, upper: float) -> list[float]:
    """A defect pixel is found from its own shared FPR upwards: its share of the log range is its recall."""
    score, place = np.unique(np.concatenate(defects), return_inverse=True)
    fpr = np.maximum(_shared_fpr(normal, score), lower)
    found = (np.log(upper / fpr) / math.log(upper / lower)).clip(0, 1)[place]
    ends = np.cumsum([len(defect) for defect in defects])[:-1]
    return [float(part.mean()) for part in np.split(found, ends)]


def _shared_fpr(normal: Sequence[Part], score: Scores) -> NDArray[np.float64]:
    by_size = defaultdict(list)  # images with as many pixels can be pooled
    for part in normal:
        by_size[part.scores.size - (0 if part.defect is None else np.count_nonzero(part.defect))].append(part)
    by_size.pop(0, None)  # all of it is hidden
    fpr = np.zeros(len(score))
    for parts in by_size.values():
        counts = count_above(parts, score)
        fpr += counts.at_least / counts.total * (len(parts) / sum(map(len, by_size.values())))
    return fpr
