"""Show what a threshold costs, and change it, without training: the weights stay as they are.

    fastflow threshold bottle                          the trade-off
    fastflow threshold bottle --max-false-reject 2%    a threshold for that many good parts
    fastflow threshold bottle --max-miss 5%            one that finds the labelled defects

The first kind comes from good training images alone. The second is chosen on the labelled test images, scored by this
very model, so figures measured on them afterwards are too good. Either is written into models/<category>/config.json
and recorded by DVC: the next `dvc repro` evaluates and reports again, and trains nothing. A later training starts again
from params.yaml.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastflow.config import FastFlowConfig
from fastflow.operating import guarantee
from fastflow.score import SCORES
from fastflow.sealed import read_config, write_threshold
from fastflow.threshold import threshold_for
from pipelines.core import dvc
from pipelines.core.paths import model_folder
from pipelines.core.rwlock import process_of, training_now
from pipelines.core.stage import Failed, log
from pipelines.reporting.miss_warning import warning
from pipelines.reporting.tables import RATES, costs, tradeoff_table
from pipelines.scoring.labelled import labelled_scores
from pipelines.training.normal_scores import normal_scores


def show_or_change(
    category: str, *, max_false_reject: float | None, max_miss: float | None, as_json: bool = False
) -> None:
    """Prints the trade-off; with a limit, also writes the threshold that keeps it.

    Raises:
        ValueError: no model, no labelled defect for `max_miss`, or a model that differs from the one DVC has recorded.
        Failed: a stage works on the category.
    """
    folder = model_folder(category)
    if not folder.exists():
        raise ValueError(f"{folder} is not there{training_now(category) or f'; run: fastflow train {category}'}")
    config = read_config(folder)
    bounds = SCORES[FastFlowConfig.from_dict(config["model"]).score].bounds
    normal, scores = normal_scores(category), labelled_scores(category, needed=max_miss is not None)
    asked = [] if max_false_reject is None else [max_false_reject]
    rates = sorted({*RATES, *asked})
    table, before = tradeoff_table(normal, scores, bounds=bounds, rates=rates), config["threshold"]
    new: dict[str, Any] = {}
    if max_false_reject is not None:
        found = threshold_for(normal, false_reject_rate=max_false_reject, bounds=bounds)
        text = guarantee(found, config["threshold"]["folds"])
        new = {
            "image": found.value,
            "method": found.method,
            "false_reject_rate": max_false_reject,
            "guarantee": text,
        }
    elif max_miss is not None:
        new = threshold_for_misses(scores, normal, max_miss)
    now = before | new
    if new:  # written before it is printed: a pipe that closes early must not prevent it
        save(folder, category, now)
    if as_json:
        print(json.dumps({"threshold": now, "tradeoff": table.to_dict("records")}, indent=2))
    else:
        was = f", {before['image']:.6g} before" * bool(new)
        print(f"{category}, threshold {now['image']:.6g}{was}\n{as_text(table, used=now['image'])}")
        if table["threshold"].duplicated().any():
            print(f"equal thresholds: {len(normal)} good training images do not tell those rates apart")
    if not new:
        return
    cost = costs(now["image"], scores)
    if max_miss is not None:
        row = {"rate": now["false_reject_rate"]} | cost
        print(as_text(pd.DataFrame([row]), "good training images above it"))
    if text := warning(category, {"misses": cost["miss_count"], "num_defective": cost["miss_total"]}):
        log.warning("but %s; --max-miss finds a threshold by them", text)
    log.info("a later training starts again from params.yaml, threshold.false_reject_rate (a change of it trains anew)")
    log.info("next: fastflow report (evaluates, trains nothing), then fastflow promote %s", category)


def threshold_for_misses(scores: pd.DataFrame, normal: np.ndarray, max_miss: float) -> dict[str, Any]:
    """The highest threshold that misses at most this share of the labelled defective images."""
    defective = np.sort(scores.loc[scores["gt_label"] == 1, "pred_score"].to_numpy())
    if not len(defective):
        raise ValueError(
            "--max-miss needs labelled defective test images, and there are none; add some with fastflow init, "
            "or use --max-false-reject"
        )
    allowed = math.floor(max_miss * len(defective) + 1e-9)
    threshold = midpoint_below(
        defective[min(allowed, len(defective) - 1)], np.concatenate([normal, scores["pred_score"]])
    )
    return {
        "image": threshold,
        "method": "misses",
        "max_miss": max_miss,
        "false_reject_rate": float((normal > threshold).mean()),
        "guarantee": f"none: chosen so that at most {allowed} of {len(defective)} labelled defective test images are "
        "missed; figures measured on those flatter it",
    }


def midpoint_below(score: float, others: np.ndarray) -> float:
    """Midway between a score and the next lower one, in single precision as models score: rounding moves no verdict."""
    lower = others[others < score].max(initial=-np.inf)
    middle = np.float32((score + lower) / 2)
    return float(middle if lower < middle < score else np.nextafter(np.float32(score), np.float32(-np.inf)))


def as_text(table: pd.DataFrame, heading: str = "good parts rejected, aimed at", *, used: float | None = None) -> str:
    """Rates with counts and 95 % limits, as a text table; the threshold `used` is marked."""

    def rate(row: pd.Series, name: str) -> str:
        if not row[f"{name}_total"]:
            return "no image"
        limits = " to ".join(f"{100 * row[f'{name}_{end}']:.1f} %" for end in ("low", "high"))
        return f"{row[f'{name}_count']:.0f} of {row[f'{name}_total']:.0f}  ({limits})"

    rows = [
        {
            heading: f"{'in use: ' * bool(row['threshold'] == used)}{100 * row['rate']:.3g} %",
            "   threshold": f"{row['threshold']:.6g}",
            "   test: good rejected (95 %)": rate(row, "false_reject"),
            "   test: defective missed (95 %)": rate(row, "miss"),
        }
        for _, row in table.iterrows()
    ]
    return pd.DataFrame(rows).to_string(index=False)


def save(folder: Path, category: str, threshold: dict[str, Any]) -> None:
    """Writes the threshold beside the weights, and has DVC record it. Raises Failed while a stage works on the
    category: DVC would take a report of the threshold before for one of this."""
    if process := process_of(category):
        raise Failed(f"{category} is being worked on by process {process}; try again when that has ended")
    stage = f"train@{category}"
    tracked = Path("dvc.lock").is_file()
    if tracked and not dvc.is_up_to_date(stage):
        raise ValueError(f"{folder} is not what its inputs would give now; run first: dvc repro {stage}")
    write_threshold(folder, threshold)
    if tracked:
        dvc.commit_outputs(stage)
    log.info("wrote threshold %.6g to %s; guarantee: %s", threshold["image"], folder, threshold["guarantee"])
