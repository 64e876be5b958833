"""Gather the results of the evaluations into report.html: one self-contained file that can be mailed.

Run by DVC as: python -m pipelines.report
"""

from fastflow.errors import BadData
from fastflow.files import write_text
from pipelines.core.params import Params
from pipelines.core.paths import REPORT, report_folder
from pipelines.core.revision import project_version
from pipelines.core.run import run_stage
from pipelines.core.stage import log
from pipelines.reporting.pages.report import render
from pipelines.reporting.pages.result import CategoryResult, read_result


def report(params: Params) -> None:
    results: list[CategoryResult] = []
    missing: dict[str, str] = {}
    for category in params.data.categories:
        try:
            results.append(read_result(report_folder(category)))
        except BadData as error:
            missing[category] = f"{error}; run: dvc repro evaluate@{category}"
    count = len(params.data.categories)
    whole = params.data.categories[0] if count == 1 else f"{count} categories"
    page = render(
        results,
        title="FastFlow report",
        subtitle=f"{len(results)} of {count} categories" if missing else whole,
        about=project_version(),
        missing=missing,
    )
    write_text(REPORT, page)
    log.info("wrote %s: %s, %.1f MB", REPORT, ", ".join(params.data.categories), len(page) / 1e6)


if __name__ == "__main__":
    run_stage(report, doc=__doc__)
