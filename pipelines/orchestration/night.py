"""A retraining's work, whichever flow asks for it: each category in its task, the report, and who is told what."""

import time
from collections.abc import Mapping

from prefect.runtime import flow_run

from pipelines.core.dvc import StageFailed
from pipelines.core.names import check_categories
from pipelines.core.notify import notify
from pipelines.core.params import Params, read_params
from pipelines.core.paths import REPORT
from pipelines.core.stage import Failed
from pipelines.orchestration.flow_artifacts import Result, log_night, run_name, show_name, show_results, summary_of
from pipelines.orchestration.flow_tasks import category_task, run_each_category, stale_categories
from pipelines.orchestration.one_off import one_off_task
from pipelines.orchestration.stage_tasks import stage_task
from pipelines.promotion.pending import pending_categories
from pipelines.reporting.decision import INCONCLUSIVE, REFUSED
from pipelines.tracking import runs


class RetrainingFailed(Failed):
    """At least one category failed; the message names each category with its outcome."""


def retrain_chosen(chosen: list[str], *, force: bool, promote: bool, overrides: Mapping[str, object]) -> str:
    """The retraining, logged to MLflow as the runs' parent; returns the summary, or raises RetrainingFailed with it."""
    params, name = read_params(), f"retraining {time.strftime('%Y-%m-%d %H:%M')}"
    with runs.new_run(name, tags={"categories": ", ".join(chosen)}, with_children=True) as run:
        run.log_params(overrides)
        environment = run.of_children()
        if overrides:
            settings = {"overrides": overrides, "promote": promote, "environment": environment}
            results = run_each_category(chosen, set(chosen), one_off_task, params, **settings)
        else:
            results = retrain_each(chosen, params, force=force, promote=promote, environment=environment)
        try:
            written = stage_task.with_options(retries=params.retrain.retries)("report", minutes=params.retrain.minutes)
        except StageFailed as error:
            written = "failed"
            results.append(Result("report", written, str(error)))
        show_results(results, report=f"{REPORT}: {written}")
        show_name(flow_run.get_id(), run_name(results))
        log_night(run, results)
        if written != "failed" and REPORT.is_file():
            run.log_files(REPORT, under="report")
        summary = summary_of(results)
        run.set_tags({"mlflow.note.content": summary})
        for what in ("failed", REFUSED, INCONCLUSIVE):  # promotions are told by the gate, whoever asked it
            if found := [result for result in results if what in result.words()]:
                notify(what, summary_of(found))
        if any(result.outcome == "failed" for result in results):
            raise RetrainingFailed(summary)
        return summary


def retrain_each(
    categories: list[str], params: Params, *, force: bool, promote: bool, environment: dict[str, str]
) -> list[Result]:
    """Every category that is not up to date, and the result of each."""
    todo = set(categories) if force else stale_categories(categories) | (pending_categories() if promote else set())
    settings = {"force": force, "promote": promote, "environment": environment}
    return run_each_category(categories, todo, category_task, params, **settings)


def choose_categories(categories: list[str] | None, params: Params) -> list[str]:
    """The categories asked for, or all. Raises ValueError naming one that params.yaml does not list."""
    known = params.data.categories
    check_categories(sorted(categories or []), known)
    return list(dict.fromkeys(categories or known))
