"""Rows of the report's tables, from a category's scores."""

from typing import Any

import numpy as np
import pandas as pd

from fastflow.metrics.image import image_auroc
from pipelines import charts

FALSE_REJECTS = (0.0, 0.01, 0.02, 0.05, 0.10, 1.0)  # of good images, in the table of what a threshold costs


def type_rows(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """For good images and each defect type: how many, how well told from good, scores."""
    good = scores.loc[scores["gt_label"] == 0, "pred_score"]
    rows = [_type("good", good, auroc=None)] if len(good) else []
    for name in charts.defect_types(scores):
        values = scores.loc[(scores["gt_label"] == 1) & (scores["defect_type"] == name), "pred_score"]
        labels = np.repeat([0, 1], [len(good), len(values)])
        rows.append(_type(name, values, auroc=image_auroc(pd.concat([good, values]), labels).value))
    return rows


def _type(name: str, values: "pd.Series[float]", *, auroc: float | None) -> dict[str, Any]:
    spread = {"lowest": values.min(), "median": values.median(), "highest": values.max()}
    return {"name": name, "n": len(values), "auroc": auroc} | spread


def cost_rows(scores: pd.DataFrame, roc: pd.DataFrame) -> list[dict[str, int]]:
    """For each limit on rejected good images the fewest defective ones missed, until none is."""
    labels = scores["gt_label"]
    good, defective = int((labels == 0).sum()), int((labels == 1).sum())
    total = {"good": good, "defective": defective}
    rows: list[dict[str, int]] = []
    for limit in FALSE_REJECTS if len(roc) else ():
        tpr = roc.loc[roc["fpr"] <= limit, "tpr"].max()
        fpr = roc.loc[roc["tpr"] >= tpr, "fpr"].min()
        missed = round((1 - tpr) * defective)
        if not rows or missed < rows[-1]["missed"]:  # rejecting more must find more
            rows.append(total | {"rejected": round(fpr * good), "missed": missed})
    return rows
