"""Print the table of results that the last evaluations left, and where the report is.

Run as: python -m pipelines.results
"""

import sys

import pandas as pd

from pipelines.params import Params
from pipelines.paths import REPORT, read_metrics
from pipelines.run import run_stage
from pipelines.stage import log

SHOWN = ("image_auroc", "pixel_auroc", "aupro", "num_train", "num_good", "num_defective")


def table(categories: list[str]) -> pd.DataFrame:
    """One row a category, in order, and their mean; a metric that is undefined or not there is empty."""
    rows = {category: read_metrics(category) for category in categories}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(SHOWN))
    metrics = frame[list(SHOWN[:3])].astype(float).mean()
    return pd.concat([frame, metrics.to_frame("mean").T])


def show(params: Params) -> None:
    formats = {name: "{:.3f}".format if i < 3 else "{:.0f}".format for i, name in enumerate(SHOWN)}
    log.info("\n%s\n", table(params.data.categories).to_string(formatters=formats, na_rep="-"))
    log.info("report: %s", REPORT.resolve().as_uri() if REPORT.is_file() else "not made yet; run: dvc repro report")


if __name__ == "__main__":
    sys.exit(run_stage(show, doc=__doc__))
