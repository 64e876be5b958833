"""The Prefect flow: retrain categories, by the same DVC stages that `dvc repro` runs.

Run it with no server at all:     python -m pipelines.flows
Some categories, even unchanged:  python -m pipelines.flows --category gear --force

DVC decides what is stale; Prefect decides when, how many at once, and what happens on failure. A category that
fails takes nobody with it: the others finish, then the flow ends as failed and names it.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

# Prefect reads these at import. Its private server may start slowly on a busy machine.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from pipelines import tracking
from pipelines.dvc import StageFailed, run_command, run_stage
from pipelines.params import Params, read_params
from pipelines.paths import REPORT, read_metrics
from pipelines.stage import BAD_DATA, FAILED, REFUSED, SERVER_AWAY, USAGE, Failed, exit_code
from pipelines.tracking import PARENT

CATEGORY_STAGES = ("prepare", "train", "evaluate")
LASTING = (FAILED, USAGE, BAD_DATA)  # exit codes of faults that a retry cannot cure


class Result(NamedTuple):
    """What came of a category: the outcome of its training, or why it failed, and the seconds waited for it."""

    category: str
    outcome: str
    reason: str
    seconds: float


class RetrainingFailed(Failed):
    """At least one category failed; the message names each, with its reason."""


def _can_pass(task: Any, run: Any, state: Any) -> bool:
    """A retry is for faults that can pass: a lock, a disk, a server, a kill. Bad data stays bad, and NaN stays NaN."""
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, StageFailed) and error.exit_code in LASTING)


@task(task_run_name="{stage}", cache_policy=NO_CACHE, retry_delay_seconds=5, retry_condition_fn=_can_pass)
def stage_task(stage: str, *, force: bool, parent: str = "") -> str:
    """One DVC stage, its output in this task's log; returns ran, restored or unchanged.

    `parent`: the MLflow run of the retraining, as FASTFLOW_PARENT_RUN holds it."""
    environment = {PARENT: parent} if parent else {}
    return run_stage(stage, on_line=get_run_logger().info, force=force, environment=environment)


@task(task_run_name="gate@{category}", cache_policy=NO_CACHE)
def gate_task(category: str) -> str:
    """The gate after an evaluation; a refusal, or a store that is away, keeps the champion and is no failure."""
    command = [sys.executable, "-m", "pipelines.promote", "--category", category]
    try:
        run_command(f"gate@{category}", command, on_line=get_run_logger().info)
    except StageFailed as error:
        if error.exit_code not in (REFUSED, SERVER_AWAY):
            raise
        return error.reason
    return ""


@task(task_run_name="{category}", cache_policy=NO_CACHE)
def retrain_category(category: str, *, retries: int, force: bool, parent: str) -> Result:
    """prepare, train, evaluate and gate of one category, in order; raises StageFailed where one fails."""
    start, outcomes = time.perf_counter(), {}
    for stage in stages_of(category):
        forced = force and stage.startswith("train@")
        outcomes[stage] = stage_task.with_options(retries=retries)(stage, force=forced, parent=parent)
    changed = outcomes[f"evaluate@{category}"] != "unchanged"
    refused = gate_task(category) if changed else ""
    return Result(category, outcomes[f"train@{category}"], refused, time.perf_counter() - start)


def stages_of(category: str) -> list[str]:
    """A category's DVC stages in order; the demo's own are drawn first, a public data set's are downloaded."""
    params = read_params()
    root = Path(params.data.root)
    drawn = root == Path("data/demo") and category in params.demo.categories
    fetched = root == Path("data") / params.download.source and category in params.download.categories
    first = ["draw"] * drawn + ["download"] * fetched
    return [f"{stage}@{category}" for stage in [*first, *CATEGORY_STAGES]]


@flow(name="retrain-all")
def retrain_all(categories: list[str] | None = None, force: bool = False) -> list[Result]:
    """Retrain the given categories, or all of params.yaml; `force` trains even where nothing changed."""
    params = read_params()
    chosen = choose_categories(categories, params)
    with tracking.new_run(
        f"retraining {time.strftime('%Y-%m-%d %H:%M')}", tags={"categories": ", ".join(chosen)}, live=False
    ) as run:
        return _retrain(chosen, params, force=force, parent=f"{run.key} {run.name}")


def _retrain(chosen: list[str], params: Params, *, force: bool, parent: str) -> list[Result]:
    results = list(retrain_each(chosen, params, force=force, parent=parent))
    reasons = [result.reason for result in results if result.outcome == "failed"]
    try:
        report = stage_task.with_options(retries=params.retrain.retries)("report", force=False)
    except StageFailed as error:
        report = "failed"
        reasons.append(str(error))
    create_table_artifact(table_of(results), key="results", description=f"{REPORT} ({report})")
    if reasons:
        raise RetrainingFailed("; ".join(reasons))
    return results


def retrain_each(categories: list[str], params: Params, *, force: bool, parent: str) -> Iterator[Result]:
    """Submits every category, at most `retrain.parallel` at once, and yields results as the progress grows."""
    progress = create_progress_artifact(0.0, key="retraining", description=", ".join(categories))
    assert isinstance(progress, UUID)
    settings = {"retries": params.retrain.retries, "force": force, "parent": parent}
    with ThreadPoolTaskRunner[Result](max_workers=params.retrain.parallel) as runner:
        futures = [runner.submit(retrain_category, {"category": c} | settings) for c in categories]
        for done, (category, future) in enumerate(zip(categories, futures, strict=True), start=1):
            start = time.perf_counter()
            result = future.result(raise_on_failure=False)
            failed = isinstance(result, BaseException)
            yield Result(category, "failed", str(result), time.perf_counter() - start) if failed else result
            update_progress_artifact(progress, progress=100 * done / len(categories))


def choose_categories(categories: list[str] | None, params: Params) -> list[str]:
    """The categories asked for, or all. Raises ValueError naming those that params.yaml does not list."""
    known = params.data.categories
    unknown = sorted(set(categories or []) - set(known))
    if unknown:
        raise ValueError(f"categories {unknown} are not in params.yaml: data.categories; allowed: {known}")
    return categories or known


def table_of(results: list[Result]) -> list[dict[str, Any]]:
    """One row a category, failures on top: outcome, metrics, seconds, and the reason of a failure."""
    rows = []
    for result in sorted(results, key=lambda r: r.outcome != "failed"):
        metrics = read_metrics(result.category) if result.outcome != "failed" else {}
        shown = {name: metrics.get(name) for name in ("image_auroc", "pixel_auroc", "aupro")}
        rows.append(result._asdict() | shown | {"seconds": round(result.seconds, 1)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", action="append", help="only this one; may be repeated")
    parser.add_argument("--force", action="store_true", help="train even where nothing changed")
    args = parser.parse_args()
    choose_categories(args.category, read_params())  # a slip of the keyboard costs no server start
    retrain_all(args.category, args.force)


if __name__ == "__main__":
    sys.exit(exit_code(main))
