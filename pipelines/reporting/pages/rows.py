"""Rows of the report's tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fastflow.metrics.image import image_auroc
from pipelines.reporting.pages.charts import defect_types


def type_rows(scores: pd.DataFrame, defects: pd.DataFrame, *, threshold: float | None) -> list[dict[str, Any]]:
    """For good images and each defect type: how many, how many of those judged wrongly, how well separated from good.

    `defects` has a row a defect type with its pixel metrics, or none.
    """
    good = scores.loc[scores["gt_label"] == 0, "pred_score"]
    rows = [_row("good", good, wrong=None if threshold is None else good > threshold)] if len(good) else []
    for name in defect_types(scores):
        values = scores.loc[(scores["gt_label"] == 1) & (scores["defect_type"] == name), "pred_score"]
        labels = np.repeat([0, 1], [len(good), len(values)])
        row = _row(name, values, wrong=None if threshold is None else values <= threshold)
        row["image_auroc"] = image_auroc(pd.concat([good, values]), labels).value
        for found in defects[defects["defect_type"] == name].to_dict("records"):
            row |= {metric: found[metric] for metric in ("pixel_auroc", "aupro")}
        rows.append(row)
    return rows


def _row(name: str, values: "pd.Series[float]", *, wrong: "pd.Series[bool] | None") -> dict[str, Any]:
    metrics = dict.fromkeys(("image_auroc", "pixel_auroc", "aupro"))
    spread = {"lowest": values.min(), "median": values.median(), "highest": values.max()}
    return {"name": name, "n": len(values), "wrong": None if wrong is None else int(wrong.sum())} | metrics | spread


def region_rows(regions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All true regions, each size class, and, where there are several, each defect type: its name, and how many of how
    many are found. Without true regions, none."""
    if not regions.get("by_size"):
        return []
    scale, types = regions["mm_per_pixel"], regions["by_type"]
    rows = [{"name": "all", "found": regions["recall"]}]
    rows += [{"name": size_class(row, scale), "found": row} for row in regions["by_size"]]
    return rows + [{"name": row["defect_type"], "found": row} for row in types if len(types) > 1]


def size_class(row: Mapping[str, Any], mm_per_pixel: float | None) -> str:
    """Such as: 16 to 63 pixels; with the same in square millimetres, where their size is known."""
    low, high = row["from"], row["to"]
    text = f"{low:,} to {high - 1:,} pixels"
    if mm_per_pixel is None:
        return text
    return f"{text}, from {low * mm_per_pixel**2:.3g} mm\u00b2"


def tradeoff_rows(
    tradeoff: pd.DataFrame, metrics: Mapping[str, float | None], limits: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """A row per target rate of false rejects: its threshold, good images rejected and defective ones missed. The one in
    use is marked; where it had another target, it is a row of its own, on top."""
    used = metrics.get("threshold")
    rows = [
        {"rate": row["rate"], "threshold": row["threshold"], "in_use": row["threshold"] == used}
        | {what: _counted(row, what) for what in ("false_reject", "miss")}
        for row in tradeoff.to_dict("records")
    ]
    counted = not {"false_rejects", "misses"} - metrics.keys()
    if rows and counted and not any(row["in_use"] for row in rows):
        rows.insert(0, {"rate": None, "threshold": used, "in_use": True} | _at_present(metrics, limits))
    return rows


def _at_present(metrics: Mapping[str, float | None], limits: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    found = {}
    for what, count, total in (("false_reject", "false_rejects", "num_good"), ("miss", "misses", "num_defective")):
        low, high = limits.get(f"{what}_rate", (0.0, 1.0))
        found[what] = {"count": metrics.get(count), "total": metrics.get(total), "low": low, "high": high}
    return found


def _counted(row: dict[Any, Any], what: str) -> dict[str, float]:
    return {name: row[f"{what}_{name}"] for name in ("count", "total", "low", "high")}
