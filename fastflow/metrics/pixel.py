"""Pixel metrics: AUROC, average precision, F1-max (oracle) and AUPRO over all pixels of a category.

AUPRO is the area under the mean per-region overlap as a function of the false positive rate (Bergmann et al.,
The MVTec Anomaly Detection Dataset, IJCV 2021, section 5), up to a limit and divided by it. All are exact.

`anomaly_maps` is a sequence of arrays (H_i, W_i), sizes may differ, higher is more anomalous; `gt_masks`
holds for each the mask (H_i, W_i), > 0 is defect, or None for no defect; what a masked array (`numpy.ma`) hides does
not count. Every function raises ValueError,
naming the image (its path, else its index), for a NaN or infinite score and for shapes that do not fit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fastflow.metrics.counting import Part, Scores, count_above
from fastflow.metrics.ranking import Ranking, auroc, average_precision, f1_max
from fastflow.metrics.regions import Masks, split_images
from fastflow.metrics.value import Value, undefined

Maps = Sequence[ArrayLike]
Paths = Sequence[object] | None


class PixelRanking(NamedTuple):
    """The defect pixels ranked against the background, and what each distinct score adds to the PRO."""

    ranking: Ranking
    overlap: NDArray[np.float64]  # sums to 1


def pixel_metrics(
    anomaly_maps: Maps,
    gt_masks: Masks,
    *,
    fpr_limits: Sequence[float] = (0.3, 0.05),
    image_paths: Paths = None,
) -> dict[str, Value]:
    """pixel_auroc, pixel_ap, pixel_f1_max_oracle, and for each limit aupro (0.3), aupro_005 (0.05), …"""
    check_limits(fpr_limits)
    pixels = rank_pixels(anomaly_maps, gt_masks, image_paths)
    metrics = {
        "pixel_auroc": auroc(pixels.ranking),
        "pixel_ap": average_precision(pixels.ranking),
        "pixel_f1_max_oracle": f1_max(pixels.ranking),
    }
    return metrics | {aupro_name(limit): _area(pixels, limit) for limit in fpr_limits}


def pro_curve(anomaly_maps: Maps, gt_masks: Masks, *, max_points: int = 300, image_paths: Paths = None) -> pd.DataFrame:
    """The PRO curve from (0, 0) to (1, 1) as columns fpr, pro, thinned to at most `max_points` for a plot.

    Empty where there is no defect or no background pixel.
    """
    ranking, overlap = rank_pixels(anomaly_maps, gt_masks, image_paths)
    if ranking.lacks:
        return pd.DataFrame({"fpr": [], "pro": []}, dtype=float)
    pro = np.r_[0, overlap[::-1].cumsum().clip(0, 1)]
    # each distinct score, highest first, takes the curve from (above, PRO before) to (at_least, PRO after)
    fpr = np.stack([ranking.above[::-1], ranking.at_least[::-1]], axis=1).ravel() / ranking.n_negative
    points = np.stack([np.r_[0, fpr, 1], np.r_[0, np.stack([pro[:-1], pro[1:]], axis=1).ravel(), 1]], axis=1)
    length = points.sum(axis=1)  # fpr and pro rise, so this is the way along the curve, from 0 to 2
    keep = np.searchsorted(length, np.linspace(0, 2, max_points))
    return pd.DataFrame(points[keep], columns=["fpr", "pro"]).drop_duplicates(ignore_index=True)


def rank_pixels(anomaly_maps: Maps, gt_masks: Masks, image_paths: Paths) -> PixelRanking:
    """Check all maps and masks and rank their defect pixels."""
    images = split_images(anomaly_maps, gt_masks, image_paths=image_paths)
    return rank_defects(
        [image.part for image in images],
        [image.defect for image in images],
        [image.region_size for image in images],
        sum(image.n_regions for image in images),
    )


def rank_defects(
    background: Sequence[Part], defects: Sequence[Scores], sizes: Sequence[NDArray[np.int32]], n_regions: int
) -> PixelRanking:
    """Rank defect pixels (D_i,): each adds 1 / (size of its region * number of regions) to the PRO."""
    defect = np.concatenate([*defects, np.empty(0, np.float32)])
    region_size = np.concatenate([*sizes, np.empty(0, np.int32)])
    order = np.argsort(defect)
    ordered, weight = defect[order], 1 / (region_size[order] * float(n_regions))
    del order, defect, region_size  # this is where the memory peaks
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
    overlap = np.add.reduceat(weight, starts) if len(starts) else weight
    score, count = ordered[starts], np.diff(starts, append=len(ordered))
    del ordered, weight, starts
    return PixelRanking(Ranking(score, count, *count_above(background, score), "pixel"), overlap)


def aupro_name(fpr_limit: float) -> str:
    """aupro for the usual limit 0.3, aupro_005 for 0.05, and so on."""
    return "aupro" if fpr_limit == 0.3 else "aupro_" + f"{fpr_limit}".replace(".", "")


def _area(pixels: PixelRanking, fpr_limit: float) -> Value:
    """Closed form: the PRO rises by `overlap` while the false positives go from `above` to `at_least`."""
    ranking, overlap = pixels
    if ranking.lacks:
        return undefined(ranking.lacks)
    limit = fpr_limit * ranking.n_negative  # in pixels
    first = np.count_nonzero(ranking.above >= limit)  # lower scores come in beyond the limit
    above, at_least, overlap = ranking.above[first:], ranking.at_least[first:], overlap[first:]
    width = at_least - above  # of the ramp; 0 is a step
    on_ramp = np.minimum(limit - above, width)
    area = (limit - at_least).clip(0) + on_ramp**2 / (2 * np.maximum(width, 1))
    return Value(min(1.0, float(overlap @ area) / limit))  # 1 + 1e-16 is rounding


def check_limits(fpr_limits: Sequence[float]) -> None:
    """Raise ValueError for a limit outside (0, 1]."""
    for limit in fpr_limits:
        if not 0 < limit <= 1:
            raise ValueError(f"fpr_limit: got {limit}; give a false positive rate above 0 and up to 1")
