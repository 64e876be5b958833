"""The report: results of all categories as one HTML file that opens from disk, prints, and loads nothing.

Every name in it is escaped, and its content security policy allows only its own style, its own script (which
sorts the overview) and inlined images: a defect type named like a tag shows as text.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fastflow.errors import BadData
from pipelines import charts
from pipelines.decision import decision_facts
from pipelines.pictures import PREDICTED, TRUTH
from pipelines.report_rows import cost_rows, type_rows

TEMPLATES = Path(__file__).parent / "templates"
METRICS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
FACTS = ("num_train", "num_good", "num_defective", "milliseconds_per_image")
VERDICTS = {"false_reject": ("false_rejects", "good parts rejected"), "miss": ("misses", "defective parts missed")}
AT_THRESHOLD = [name for rate, (count, _) in VERDICTS.items() for name in (count, f"{rate}_rate")]
SHOWN = (*METRICS, *FACTS, *AT_THRESHOLD)  # have places of their own in the page
NONE = "\u2013"  # shown for what is undefined: a dash
SCORE_COLUMNS = {"image_path": str, "defect_type": str, "gt_label": int, "pred_score": float}


@dataclass(frozen=True, eq=False)
class CategoryResult:
    """What one category's evaluation left in its folder; tables that are not there are empty."""

    category: str
    metrics: dict[str, float | None]  # numbers by name; None where undefined
    undefined: dict[str, str]  # why, by name
    scores: pd.DataFrame  # image_path, defect_type, gt_label, pred_score
    roc: pd.DataFrame  # fpr, tpr
    training: pd.DataFrame  # epoch, loss
    about: dict[str, str]
    intervals: dict[str, list[float]]  # 95 % limits by name, where there are any
    pictures: dict[str, Any]  # index.json of the pictures, file names replaced by data URIs


def read_result(folder: Path) -> CategoryResult:
    """Reads reports/<category>; metrics.json and scores.csv must be there, the rest may be missing.

    Raises:
        BadData: a file that is missing or cannot be read.
    """
    try:
        found = json.loads((folder / "metrics.json").read_text())
        numbers = {k: v for k, v in found.items() if v is None or isinstance(v, int | float)}
        return CategoryResult(
            category=str(found["category"]),
            metrics=numbers,
            undefined={name: str(reason) for name, reason in found.get("undefined", {}).items()},
            scores=_read_table(folder / "scores.csv", SCORE_COLUMNS),
            roc=_read_optional(folder / "roc.csv", ("fpr", "tpr")),
            training=_read_optional(folder / "training.csv", ("epoch", "loss")),
            about={k: str(v) for k, v in _read_json(folder / "about.json").items()} | decision_facts(folder),
            intervals=_read_json(folder / "intervals.json"),
            pictures=_read_pictures(folder / "pictures"),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        what = f"no key {error}" if isinstance(error, KeyError) else error
        message = f"{folder}: cannot read what its evaluation left ({what}); run its evaluate stage again"
        raise BadData(message) from error


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _read_table(path: Path, types: Mapping[str, type]) -> pd.DataFrame:
    """A CSV file with these columns; "NA" is a name like any other."""
    return pd.read_csv(path, dtype=dict(types), keep_default_na=False, usecols=list(types))


def _read_optional(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    types = dict.fromkeys(columns, float)
    return _read_table(path, types) if path.is_file() else pd.DataFrame(columns=list(columns), dtype=float)


def _read_pictures(folder: Path) -> dict[str, Any]:
    index = _read_json(folder / "index.json") or {"cases": []}
    for case in index["cases"]:
        for kind in ("image", "heat", "contours"):
            data = base64.b64encode((folder / Path(case[kind]).name).read_bytes()).decode()
            case[kind] = f"data:image/webp;base64,{data}"
    return index


def render(
    results: Sequence[CategoryResult],
    *,
    title: str,
    subtitle: str,
    about: Mapping[str, str],
    missing: Mapping[str, str] | None = None,
) -> str:
    """The page. `about` is shown at its end; `missing` says why a category has no result, at its top."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fraction": fraction, "number": number, "words": words}
    style, script = (Markup((TEMPLATES / name).read_text()) for name in ("report.css", "report.js"))
    text = environment.get_template("report.html").render(
        title=title,
        subtitle=subtitle,
        about=about,
        missing=missing or {},
        style=style,
        script=script,
        policy=policy(style, script),
        metric_names=METRICS,
        verdicts=VERDICTS,
        fact_names=FACTS,
        means=_means(results),
        categories=[_view(result) for result in results],
        untrained=[r.category for r in results if r.about.get("weights") == "random"],
        colours={
            "truth": _css(TRUTH),
            "predicted": _css(PREDICTED),
            "good": charts.GOOD,
            "defective": charts.DEFECTIVE,
        },
    )
    return text.encode(errors="replace").decode()  # a file name that is no text must not stop the page


def policy(style: str, script: str) -> str:
    """Content security policy: nothing but this style, this script and inlined images."""
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def fraction(value: float | None) -> str:
    """Three digits; what is not 1 is never rounded to it, and what is undefined is a dash."""
    if value is None or math.isnan(value):
        return NONE
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def number(value: float | None) -> str:
    """Up to four significant digits, integers in full; a dash for none."""
    if value is None or math.isnan(value):
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def words(name: str) -> str:
    return name.replace("_", " ")


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _means(results: Sequence[CategoryResult]) -> dict[str, dict[str, Any]]:
    """The mean of each metric over the categories that have it, and how many those are."""
    found = {name: [v for r in results if (v := r.metrics.get(name)) is not None] for name in METRICS}
    return {name: {"value": float(np.mean(v)) if v else None, "count": len(v)} for name, v in found.items()}


def _view(result: CategoryResult) -> dict[str, Any]:
    """What the template shows of a category, ready made."""
    return {
        "name": result.category,
        "metrics": result.metrics,
        "scores": result.scores,
        "undefined": result.undefined,
        "intervals": result.intervals,
        "extra": {name: value for name, value in result.metrics.items() if name not in SHOWN},
        "about": result.about,
        "types": type_rows(result.scores),
        "costs": cost_rows(result.scores, result.roc),
        "histogram": Markup(charts.score_histogram(result.scores)) if len(result.scores) else "",
        "roc": Markup(charts.roc(result.roc)) if len(result.roc) else "",
        "training": Markup(charts.training_curve(result.training)) if len(result.training) else "",
        "last_loss": float(result.training["loss"].iloc[-1]) if len(result.training) else None,
        "legend": _legend(result.pictures),
        "cases": [_case(case, result.scores) for case in result.pictures["cases"]],
    }


def _legend(pictures: Mapping[str, Any]) -> str:
    if not pictures["cases"]:
        return ""
    return Markup(charts.heat_legend(low=pictures["low"], threshold=pictures["threshold"]))


def _case(case: dict[str, Any], scores: pd.DataFrame) -> dict[str, Any]:
    """A case of index.json with its place among its own kind and against the other kind."""
    own = scores.loc[scores["image_path"] == case["image_path"], "pred_score"]
    score = own.iloc[0] if len(own) else case["pred_score"]  # the table's digits: they decide ranks
    same = scores[(scores["gt_label"] == case["gt_label"]) & (scores["defect_type"] == case["defect_type"])]
    other = scores.loc[scores["gt_label"] != case["gt_label"], "pred_score"]
    rank = 1 + int((same["pred_score"] > score).sum())
    place = {len(same): "lowest", 1: "highest"}.get(rank, f"rank {rank}") + f" of {len(same)}"
    if case["gt_label"] == 1:
        confused, against = int((other >= score).sum()), "good images score as high"
    else:
        confused, against = int((other <= score).sum()), "defective images score no higher"
    sentence = f"{confused} of {len(other)} {against}" if len(other) else ""
    return case | {"place": place, "against": sentence, "confused": confused > 0}
