"""The tables that an evaluation writes for DVC, MLflow and the report, into reports/<category>/.

metrics.json      every metric and count, at the frozen threshold where one is needed; null where undefined, and why
intervals.json    95 % limits: bootstrap for metrics, exact binomial ones for the two rates
scores.csv        one row an image: image_path, sha256, defect_type, gt_label, pred_score, pred_label, the model
defects.csv       one row a defect type: images, misses with limits, metrics against the good images
tradeoff.csv      one row a false-reject rate: the threshold for it, and what it costs on the test images
roc.csv, pr.csv, pro.csv    curves
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastflow.detector import require_finite_scores
from fastflow.evaluation import image_metrics, no_pixels
from fastflow.files import write_text
from fastflow.metrics.bootstrap import Interval
from fastflow.metrics.image import pr_curve, roc_curve
from fastflow.metrics.pixel import pixel_metrics, pro_curve
from fastflow.metrics.rates import error_rates, mistakes, rate_interval
from fastflow.metrics.value import Value
from fastflow.threshold import threshold_for
from pipelines.core.spreadsheet import marked_texts

RATES = (0.005, 0.01, 0.02, 0.05)  # of good images rejected, in the trade-off
TYPE_METRICS = ("image_auroc", "pixel_auroc", "aupro")  # metrics of each defect type
RATE_CLASSES = {"false_reject_rate": "good", "miss_rate": "defective"}
COUNT_NAMES = {"false_reject": "false_rejects", "miss": "misses"}


class Evaluated(NamedTuple):
    """A category's test images, scored: rows of the index, maps and masks (H_i, W_i), metrics and their intervals."""

    images: pd.DataFrame
    scores: pd.DataFrame
    maps: list[NDArray[np.float32]]
    masks: list[NDArray[np.bool_]]
    metrics: Mapping[str, Value]
    intervals: Mapping[str, Interval]


def score_table(index: pd.DataFrame, pred_score: NDArray[np.float32], *, threshold: float) -> pd.DataFrame:
    """One row an image; pred_label is 1 above the threshold. Raises NotFinite at a score that is no number."""
    require_finite_scores(list(index["image_path"]), pred_score)
    scores = pred_score.astype(np.float64)
    columns = index[["image_path", "sha256", "defect_type", "gt_label"]]
    return columns.assign(pred_score=scores, pred_label=(scores > threshold).astype(int))


def write_tables(
    folder: Path,
    category: str,
    found: Evaluated,
    *,
    facts: Mapping[str, float],
    threshold: Mapping[str, Any],
    tradeoff: pd.DataFrame,
) -> dict[str, float | None]:
    """Writes all tables; returns the numbers of metrics.json."""
    folder.mkdir(parents=True, exist_ok=True)
    counts, limits = verdicts(found.scores)
    numbers = {name: value.value for name, value in found.metrics.items()} | counts | dict(facts)
    numbers |= {"threshold": threshold["image"]}
    reasons = {name: value.reason for name, value in found.metrics.items() if value.value is None}
    reasons |= {rate: f"no {images} image" for rate, images in RATE_CLASSES.items() if counts[rate] is None}
    write_text(folder / "metrics.json", _json({"category": category, **numbers, "undefined": reasons}))
    write_text(folder / "intervals.json", _json({**found.intervals, **limits}))
    marked_texts(found.scores).to_csv(folder / "scores.csv", index=False)
    marked_texts(defect_table(found)).to_csv(folder / "defects.csv", index=False)
    tradeoff.to_csv(folder / "tradeoff.csv", index=False)
    label, score = found.scores["gt_label"].to_numpy(), found.scores["pred_score"].to_numpy()
    roc_curve(score, label).to_csv(folder / "roc.csv", index=False)
    pr_curve(score, label).to_csv(folder / "pr.csv", index=False)
    pro = pd.DataFrame({"fpr": [], "pro": []}) if no_pixels(found.images) else pro_curve(found.maps, found.masks)
    pro.to_csv(folder / "pro.csv", index=False)
    return numbers


def verdicts(scores: pd.DataFrame) -> tuple[dict[str, float | None], dict[str, Interval]]:
    """At the frozen threshold: false_rejects (good images above it), misses (defective ones not above it), their rates,
    and the rates' 95 % limits; a rate of no image is None."""
    counted = mistakes(scores["gt_label"], scores["pred_label"])
    numbers = {COUNT_NAMES[name]: wrong for name, (wrong, _) in counted.items()}
    limits = {f"{name}_rate": rate_interval(wrong, total) for name, (wrong, total) in counted.items() if total}
    return numbers | error_rates(scores["gt_label"], scores["pred_label"]), limits


def defect_table(found: Evaluated) -> pd.DataFrame:
    """Each defect type against the good images; empty metrics are undefined."""
    rows = []
    index = found.images
    for kind in sorted(index.loc[index["gt_label"] == 1, "defect_type"].unique()):
        own = (index["defect_type"] == kind) & (index["gt_label"] == 1)
        chosen = np.flatnonzero(own | (index["gt_label"] == 0))
        part = index.iloc[chosen].reset_index(drop=True)
        values = image_metrics(part, found.scores["pred_score"].to_numpy()[chosen])
        if not no_pixels(part):
            values |= pixel_metrics([found.maps[i] for i in chosen], [found.masks[i] for i in chosen])
        scores = found.scores[own]
        missed, total = mistakes(scores["gt_label"], scores["pred_label"])["miss"]
        row = {"defect_type": kind, "images": total} | _counted("miss", missed, total)
        rows.append(row | {name: values[name].value if name in values else None for name in TYPE_METRICS})
    counts = (f"miss_{name}" for name in ("count", "total", "low", "high"))
    return pd.DataFrame(rows, columns=["defect_type", "images", *counts, *TYPE_METRICS])


def tradeoff_table(
    normal: NDArray[np.float64], scores: pd.DataFrame, *, bounds: Interval | None, rates: Sequence[float] = RATES
) -> pd.DataFrame:
    """What the threshold for each rate, from the scores of good training images, costs on the labelled test images."""
    rows = []
    for rate in rates:
        threshold = threshold_for(normal, false_reject_rate=rate, bounds=bounds).value
        rows.append({"rate": rate} | costs(threshold, scores))
    return pd.DataFrame(rows)


def costs(threshold: float, scores: pd.DataFrame) -> dict[str, float]:
    """False rejects and misses of a threshold on labelled images, with 95 % limits of their rates."""
    row = {"threshold": threshold}
    for name, (wrong, total) in mistakes(scores["gt_label"], scores["pred_score"] > threshold).items():
        row |= _counted(name, wrong, total)
    return row


def _counted(name: str, count: int, total: int) -> dict[str, float]:
    low, high = rate_interval(count, total)
    return {f"{name}_count": count, f"{name}_total": total, f"{name}_low": low, f"{name}_high": high}


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"
