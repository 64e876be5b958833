"""The table of results of the last evaluations, and where the report is."""

import json

import pandas as pd

from pipelines.core.metrics_file import read_metrics
from pipelines.core.params import Params
from pipelines.core.paths import REPORT
from pipelines.reporting.miss_warning import warning

METRICS = ("image_auroc", "pixel_auroc", "aupro")
SHOWN = (*METRICS, "false_rejects", "num_good", "misses", "num_defective", "num_train")


def table(categories: list[str]) -> pd.DataFrame:
    """One row per category, in order, and the mean of several; an undefined or missing metric is empty."""
    rows = {category: read_metrics(category) for category in categories}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(SHOWN)).astype(float)
    if len(categories) == 1:
        return frame
    return pd.concat([frame, frame[list(METRICS)].mean().to_frame("mean").T])


def show(params: Params, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({category: read_metrics(category) for category in params.data.categories}, indent=2))
        return
    formats = {name: "{:.3f}".format if name in METRICS else "{:.0f}".format for name in SHOWN}
    print(f"\n{table(params.data.categories).to_string(formatters=formats, na_rep='-')}\n")
    for category in params.data.categories:
        if text := warning(category, read_metrics(category)):
            print(f"{category}: {text}")
    print("report:", REPORT.resolve().as_uri() if REPORT.is_file() else "not made yet; run: dvc repro report")
