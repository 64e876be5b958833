"""The Prefect flows: retrain categories by the same DVC stages that `dvc repro` runs, and look at the champions.

Run it with no server at all:     python -m pipelines.cli.operations flow
Some categories, even unchanged:  python -m pipelines.cli.operations flow --category gear --force

DVC decides what is stale; Prefect decides when (prefect.yaml), how many at once, and what happens on failure. A
category goes through `category_task` of flow_tasks.py: its stages, then the gate (pipelines/promotion/promote.py). One
that fails takes nobody with it: the others finish, then the flow ends as failed and names it. A signal ends each stage
after its step, state saved.
"""

import os
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
from pipelines.core.notify import notify
from pipelines.core.params import read_params
from pipelines.core.stage import FAILED, Failed
from pipelines.orchestration.fleet import show_fleet
from pipelines.orchestration.flow_tasks import champion_task, drift_task
from pipelines.orchestration.machines import images_file, record_worker, refuse_changes, refuse_epochs
from pipelines.orchestration.night import choose_categories, retrain_chosen
from pipelines.orchestration.retraining_queue import close_dead_runs, queued_retraining
from pipelines.orchestration.stage_tasks import dvc_task, run_stages
from pipelines.tracking.runs import PARENT

RETRAINING = "retrain-all/nightly"
Epochs = Annotated[int | None, Field(ge=1)]


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
            return Completed(message=retrain_chosen(chosen, force=force, promote=promote, overrides=overrides))
        finally:
            if not is_ending():
                show_fleet(flow_run.get_id())
