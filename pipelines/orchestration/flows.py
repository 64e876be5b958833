"""The Prefect flows: retrain categories by the same DVC stages that `dvc repro` runs, and look at the champions.

Run it with no server at all:     python -m pipelines.cli.operations flow
Some categories, even unchanged:  python -m pipelines.cli.operations flow --category gear --force

DVC decides what is stale; Prefect decides when (prefect.yaml), how many at once, and what happens on failure. A
category goes through `category_task` of flow_tasks.py: its stages, then the gate (pipelines/promotion/promote.py). One
that fails takes nobody with it: the others finish, then the flow ends as failed and names it. A signal ends each stage
after its step, state saved.
"""

import os
import time
from collections.abc import Mapping
from typing import Annotated, Any

# Prefect reads these at import. Its private server may start slowly on a busy machine.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")

from prefect import State, flow
from prefect.deployments import run_deployment
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.states import Failed as PrefectFailed
from pydantic import Field

from pipelines.core.dvc import StageFailed, is_ending
from pipelines.core.names import check_categories
from pipelines.core.notify import notify
from pipelines.core.params import Params, read_params
from pipelines.core.paths import REPORT
from pipelines.core.stage import FAILED, Failed
from pipelines.orchestration.fleet import show_fleet
from pipelines.orchestration.flow_artifacts import (
    Result,
    log_night,
    run_name,
    show_name,
    show_results,
    summary_of,
)
from pipelines.orchestration.flow_tasks import (
    category_task,
    champion_task,
    drift_task,
    run_each_category,
    stale_categories,
)
from pipelines.orchestration.machines import images_file, record_worker, refuse_changes, refuse_epochs
from pipelines.orchestration.one_off import one_off_task
from pipelines.orchestration.retraining_queue import close_dead_runs, queued_retraining
from pipelines.orchestration.stage_tasks import dvc_task, run_stages, stage_task
from pipelines.promotion.pending import pending_categories
from pipelines.reporting.decision import INCONCLUSIVE, REFUSED
from pipelines.tracking import runs
from pipelines.tracking.runs import PARENT

RETRAINING = "retrain-all/nightly"
Epochs = Annotated[int | None, Field(ge=1)]


class RetrainingFailed(Failed):
    """At least one category failed; the message names each category with its outcome."""


@flow(name="retrain-all")
def retrain_all(
    categories: list[str] | None = None, epochs: Epochs = None, force: bool = False, promote: bool = True
) -> State[Any]:
    """Retrain what has changed: images, index, training, evaluation and gate, category by category, and a report.

    Args:
        categories: Names listed in params.yaml under data.categories; none: all of them.
        epochs: Of this run alone, in place of train.epochs in params.yaml; each of the categories is then trained.
        force: Train even where images, parameters and code are unchanged.
        promote: Ask the gate whether each new model may become champion.
    """
    return _in_turn(categories, epochs=epochs, force=force, promote=promote)


def retrain_now(categories: list[str] | None, *, epochs: int | None, force: bool, promote: bool) -> None:
    """The flow in this process. Raises ValueError where params.yaml has no such category, or what the flow raises."""
    choose_categories(categories, read_params())  # a typing error costs no server start
    retrain_all(categories, epochs, force, promote)


@flow(name="retrain")
def retrain(category: str, epochs: Epochs = None, force: bool = True, promote: bool = True) -> State[Any]:
    """Retrain one category now, changed or not, by hand.

    Args:
        category: A name listed in params.yaml under data.categories.
        epochs: Of this run alone, in place of train.epochs in params.yaml.
        force: Train even where images, parameters and code are unchanged.
        promote: Ask the gate whether the new model may become champion.
    """
    return _in_turn([category], epochs=epochs, force=force, promote=promote)


@flow(name="retrain-here")
def retrain_here(category: str, commit: str, force: bool = False, parent: str = "") -> State[Any]:
    """Train and evaluate one category on this machine of the pool, and push the result; see retrain.where.

    Args:
        category: A name listed in params.yaml under data.categories.
        commit: What the pull step (`pipelines.orchestration.machines.own_clone`) has brought the clone to.
        force: Train even where nothing has changed.
        parent: The MLflow run of the retraining, as FASTFLOW_PARENT_RUN holds it.
    """
    record_worker(flow_run.get_id() or "")
    images = images_file(read_params().data.root, category)
    if images.is_file():
        dvc_task("images", "pull", images.as_posix())
    outcomes = run_stages(category, force=force, pull=not force, environment={PARENT: parent} if parent else {})
    dvc_task("results", "push", "--run-cache", *outcomes)
    return Completed(message=f"{category} {outcomes[f'train@{category}']} at {commit[:12]}")


@flow(name="evaluate-champions")
def evaluate_champions(categories: list[str] | None = None) -> str:
    """Score today's test images with each champion, as downloaded from the registry: does it still do what it did?

    Args:
        categories: Names listed in params.yaml under data.categories; none: all of them.
    """
    failed = []
    chosen = choose_categories(categories, read_params())
    for category in chosen:
        try:
            champion_task(category)
        except StageFailed as error:
            failed.append(str(error))
    if failed:
        notify("champions", "; ".join(failed))
        raise Failed("; ".join(failed))
    return f"{len(chosen)} champions are what they were"


@flow(name="check-drift")
def check_drift(categories: list[str] | None = None, ask_for_challenger: bool = False) -> str:
    """Compare recent photographs, where params.yaml names them in drift.recent, with what each champion learnt from.

    Args:
        categories: Names listed in params.yaml under data.categories; none: all of them.
        ask_for_challenger: Start retrain-all/nightly for those that changed; its models are not promoted.
    """
    chosen = choose_categories(categories, read_params())
    if read_params().drift.recent is None:
        return "params.yaml names no recent photographs: drift.recent"
    changed: list[str] = []
    reasons = []
    for category in chosen:
        try:
            drift_task(category)
        except StageFailed as error:
            changed += [category] * (error.exit_code == FAILED)  # other codes: no verdict
            reasons.append(str(error))
    show_fleet(flow_run.get_id())
    if reasons:
        notify("drift", "; ".join(reasons))
    if changed and ask_for_challenger:
        parameters = {"categories": changed, "force": True, "promote": False}
        run_deployment(RETRAINING, parameters=parameters, timeout=0, as_subflow=False)
    if reasons:
        raise Failed("; ".join(reasons))
    return f"{len(chosen)} categories look as in calibration, or have nothing recent"


def _in_turn(categories: list[str] | None, *, epochs: int | None, force: bool, promote: bool) -> State[Any]:
    """A retraining once the one that is running has ended; the flow run's state."""
    try:
        choose_categories(categories, read_params())
    except ValueError as error:  # a typing error waits for no turn
        return PrefectFailed(message=str(error))
    with queued_retraining([flow_run.get_id(), flow_run.get_root_flow_run_id()]) as dead:
        close_dead_runs(dead)
        params = read_params()  # as it is now: the turn may have come hours later
        chosen = choose_categories(categories, params)
        if params.retrain.where == "pool":
            refuse_changes()
            refuse_epochs(epochs, params.train.epochs)
        overrides = {} if epochs in (None, params.train.epochs) else {"train.epochs": epochs}
        try:
            return Completed(message=_retrain(chosen, force=force, promote=promote, overrides=overrides))
        finally:
            if not is_ending():
                show_fleet(flow_run.get_id())


def _retrain(chosen: list[str], *, force: bool, promote: bool, overrides: Mapping[str, object]) -> str:
    """The retraining, logged to MLflow as the runs' parent; returns the summary, or raises RetrainingFailed with it."""
    params, name = read_params(), f"retraining {time.strftime('%Y-%m-%d %H:%M')}"
    with runs.new_run(name, tags={"categories": ", ".join(chosen)}, live=False) as run:
        run.log_params(overrides)
        environment = {PARENT: f"{run.key} {run.name}"}
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
