"""Image metrics and curves from pred_score (N,), higher is more anomalous, and gt_label (N,), 0 or 1.

Every function raises ValueError for a score that is NaN or infinite and for a label other than 0 and 1
(naming the image: its path, else its index), and for shapes that do not fit.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fastflow.metrics.counting import Counts, Mask, Part, Scores
from fastflow.metrics.ranking import Ranking, auroc, average_precision, f1_max, rank
from fastflow.metrics.regions import as_scores
from fastflow.metrics.value import Value

Paths = Sequence[object] | None


def image_auroc(pred_score: ArrayLike, gt_label: ArrayLike, *, image_paths: Paths = None) -> Value:
    """P(an anomalous image scores higher than a normal one), ties counting one half."""
    return auroc(_rank(pred_score, gt_label, image_paths))


def image_ap(pred_score: ArrayLike, gt_label: ArrayLike, *, image_paths: Paths = None) -> Value:
    """Average precision: sum over thresholds of (gain in recall) * precision."""
    return average_precision(_rank(pred_score, gt_label, image_paths))


def image_f1_max(pred_score: ArrayLike, gt_label: ArrayLike, *, image_paths: Paths = None) -> Value:
    """The highest F1 of any threshold: an oracle, the threshold is chosen on the labels it is judged by."""
    return f1_max(_rank(pred_score, gt_label, image_paths))


def roc_curve(pred_score: ArrayLike, gt_label: ArrayLike, *, image_paths: Paths = None) -> pd.DataFrame:
    """Columns fpr, tpr, threshold; one row for each distinct score, highest first, after (0, 0) at infinity.

    An image is called anomalous where pred_score >= threshold. Empty where a class is missing.
    """
    threshold, tp, fp = _at_thresholds(*checked_scores(pred_score, gt_label, image_paths))
    if not len(tp) or not tp[-1] or not fp[-1]:
        return pd.DataFrame({"fpr": [], "tpr": [], "threshold": []}, dtype=float)
    return pd.DataFrame(
        {"fpr": np.r_[0, fp] / fp[-1], "tpr": np.r_[0, tp] / tp[-1], "threshold": np.r_[np.inf, threshold]}
    )


def pr_curve(pred_score: ArrayLike, gt_label: ArrayLike, *, image_paths: Paths = None) -> pd.DataFrame:
    """Columns recall, precision, threshold; one row for each distinct score, highest first.

    An image is called anomalous where pred_score >= threshold. Empty where no image is anomalous.
    """
    threshold, tp, fp = _at_thresholds(*checked_scores(pred_score, gt_label, image_paths))
    if not len(tp) or not tp[-1]:
        return pd.DataFrame({"recall": [], "precision": [], "threshold": []}, dtype=float)
    return pd.DataFrame({"recall": tp / tp[-1], "precision": tp / (tp + fp), "threshold": threshold})


def _rank(pred_score: ArrayLike, gt_label: ArrayLike, image_paths: Paths) -> Ranking:
    scores, anomalous = checked_scores(pred_score, gt_label, image_paths)
    return rank([Part(scores[~anomalous])], scores[anomalous], unit="image")


def _at_thresholds(scores: Scores, anomalous: Mask) -> tuple[Scores, Counts, Counts]:
    """The distinct scores, highest first, and the true and false positives at each."""
    threshold, place = np.unique(scores, return_inverse=True)
    of_class = [np.bincount(place[chosen], minlength=len(threshold)) for chosen in (anomalous, ~anomalous)]
    tp, fp = (count[::-1].cumsum() for count in of_class)
    return threshold[::-1], tp, fp


def checked_scores(pred_score: ArrayLike, gt_label: ArrayLike, image_paths: Paths) -> tuple[Scores, Mask]:
    """The scores (N,) and which of them belong to anomalous images, or ValueError."""
    scores, labels = as_scores(pred_score), np.asarray(gt_label)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"pred_score has shape {scores.shape}, gt_label {labels.shape}; give two of shape (N,)")
    if image_paths is not None and len(image_paths) != len(scores):
        raise ValueError(f"{len(scores)} scores but {len(image_paths)} image paths; give one for each score")
    for what, values, good in (
        ("pred_score", scores, np.isfinite(scores)),
        ("gt_label", labels, np.isin(labels, (0, 1))),
    ):
        if not good.all():
            first = int(np.flatnonzero(~good)[0])
            name = f"image {first}" if image_paths is None else image_paths[first]
            allowed = "a finite number" if what == "pred_score" else "0 (normal) or 1 (anomalous)"
            raise ValueError(f"{name}: {what} is {values[first]}; it must be {allowed}")
    return scores, labels == 1
