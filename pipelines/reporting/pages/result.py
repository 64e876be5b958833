"""The result of a category's evaluation, reports/<category>/, read for its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastflow.errors import BadData
from pipelines.core.metrics_file import CURE, metrics_in
from pipelines.core.spreadsheet import unmarked_texts
from pipelines.core.stored import read_stored
from pipelines.reporting.decision import read_decision
from pipelines.reporting.pages.page import picture
from pipelines.reporting.pages.result_files import DatasetCard, Limits, Pictures

SCORE_COLUMNS = {"image_path": str, "defect_type": str, "gt_label": int, "pred_score": float}
CURVES: dict[str, Sequence[str]] = {
    "roc": ("fpr", "tpr"),
    "pr": ("recall", "precision"),
    "pro": ("fpr", "pro"),
    "training": ("epoch", "loss"),
}
COUNTED = ("count", "total", "low", "high")
TRADEOFF = ("rate", "threshold", *(f"{what}_{name}" for what in ("false_reject", "miss") for name in COUNTED))


@dataclass(frozen=True, eq=False)
class CategoryResult:
    """Tables and facts that are not there are empty; only metrics and scores must be."""

    category: str
    metrics: dict[str, float | None]  # numbers by name; None where undefined
    undefined: dict[str, str]  # why, by name
    scores: pd.DataFrame  # image_path, defect_type, gt_label, pred_score
    curves: dict[str, pd.DataFrame]  # by the names of CURVES
    tradeoff: pd.DataFrame  # a row a rate of false rejects
    defects: pd.DataFrame  # a row a defect type
    about: dict[str, str]
    intervals: dict[str, list[float]]  # 95 % limits by name, where there are any
    pictures: dict[str, Any]  # index.json of the pictures, file names replaced by data URIs
    images: dict[str, Any]  # dataset.json
    gate: dict[str, Any]  # gate.json
    regions: dict[str, Any]  # regions.json


def read_result(folder: Path) -> CategoryResult:
    """Reads reports/<category>; metrics.json and scores.csv must be there, the rest may be missing.

    Raises:
        BadData: a file that is missing or cannot be read.
    """
    try:
        found = metrics_in(folder)
        return CategoryResult(
            category=found["category"],
            metrics={name: value for name, value in found.items() if name not in ("category", "undefined")},
            undefined=found.get("undefined", {}),
            scores=_read_scores(folder / "scores.csv"),
            curves={name: _read_optional(folder / f"{name}.csv", columns) for name, columns in CURVES.items()},
            tradeoff=_read_optional(folder / "tradeoff.csv", TRADEOFF),
            defects=_read_optional(folder / "defects.csv", ("pixel_auroc", "aupro"), text="defect_type"),
            about={k: str(v) for k, v in _read_json(folder / "about.json", dict[str, Any]).items()},
            intervals=_read_json(folder / "intervals.json", dict[str, Limits]),
            pictures=_read_pictures(folder / "pictures"),
            images=_read_json(folder / "dataset.json", DatasetCard),
            gate=read_decision(folder),
            regions=_read_json(folder / "regions.json", dict[str, Any]),
        )
    except BadData:
        raise
    except (OSError, ValueError, OverflowError) as error:
        message = f"{folder}: cannot read the result of its evaluation ({error}); run its evaluate stage again"
        raise BadData(message) from error


def _read_json(path: Path, kind: Any) -> dict[str, Any]:
    return dict(read_stored(path, kind, cure=CURE)) if path.is_file() else {}


def _read_scores(path: Path) -> pd.DataFrame:
    """A row a test image; "NA" is a name like any other."""
    table = pd.read_csv(path, dtype=dict(SCORE_COLUMNS), keep_default_na=False, usecols=list(SCORE_COLUMNS))
    if not (np.isfinite(table["pred_score"]).all() and table["gt_label"].isin([0, 1]).all()):
        raise BadData(f"{path} holds a score that is no number, or a label that is neither 0 nor 1; {CURE}")
    return unmarked_texts(table)


def _read_optional(path: Path, columns: Sequence[str], *, text: str = "") -> pd.DataFrame:
    """Numbers, an empty field being undefined, and a column of `text`; no rows where there is no file."""
    names = [*([text] if text else []), *columns]
    if not path.is_file():
        return pd.DataFrame({name: [] for name in names})
    empty = {name: [""] for name in columns}  # of a column of names, none is a missing value
    types = dict.fromkeys(columns, float) | ({text: str} if text else {})
    return unmarked_texts(pd.read_csv(path, usecols=names, dtype=types, keep_default_na=False, na_values=empty))


def _read_pictures(folder: Path) -> dict[str, Any]:
    index = _read_json(folder / "index.json", Pictures) or {"cases": [], "groups": {}}
    if any(number >= len(index["cases"]) for numbers in index["groups"].values() for number in numbers):
        raise BadData(f"{folder / 'index.json'} is damaged: it groups a case that is not there; {CURE}")
    for case in index["cases"]:
        for kind in ("image", "heat", "contours"):
            case[kind] = picture(folder / Path(case[kind]).name)
        if why := case.get("why"):
            for kind in ("place", "similar"):
                why[kind] = picture(folder / Path(why[kind]).name)
    return index
