"""The tasks of the flows: DVC's stages and our commands, each a process of its own, its output in the task's log."""

import functools
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture
from prefect.states import Cancelled

from pipelines.core.dvc import (
    DVC,
    EMPTY,
    TIMED_OUT,
    StageFailed,
    end_running,
    is_ending,
    restore_model,
    run_command,
    run_stage,
    stale_stages,
)
from pipelines.core.epoch_lines import LINES, read_epoch
from pipelines.core.experiment import TAG
from pipelines.core.params import read_params
from pipelines.core.paths import CHAMPION_MODEL, report_folder
from pipelines.core.stage import BAD_DATA, FAILED, INCONCLUSIVE, REFUSED, SERVER_AWAY, USAGE
from pipelines.data.origin import source_stage
from pipelines.orchestration.flow_artifacts import NO_DECISION, EpochProgress, Result, show_category
from pipelines.orchestration.machines import git, run_on_worker
from pipelines.orchestration.slots import Slots
from pipelines.promotion.pending import clear_pending, mark_pending
from pipelines.reporting.decision import FILE as DECISION
from pipelines.reporting.decision import read_decision
from pipelines.tracking.runs import PARENT

P = ParamSpec("P")
R = TypeVar("R")
CATEGORY_STAGES = ("prepare", "train", "evaluate")
PERMANENT_EXIT_CODES = (FAILED, USAGE, BAD_DATA, TIMED_OUT)  # that a retry cannot change
BACK_OFF_SECONDS = [5.0, 30.0, 120.0, 600.0]  # before each retry
OUTCOMES = {"ran": "trained", "restored": "restored", "unchanged": "up to date"}


def is_temporary(task: Any, run: Any, state: Any) -> bool:
    """Whether a failure may be temporary: a lock, a disk, a server, a kill; not bad data or a loss that is NaN."""
    if is_ending():
        return False
    error = state.result(raise_on_failure=False)
    return not (isinstance(error, StageFailed) and error.exit_code in PERMANENT_EXIT_CODES)


def cancelled_when_ending(work: Callable[P, R]) -> Callable[P, R]:
    """A task's work; what a signal ends is shown as cancelled, without a traceback."""

    @functools.wraps(work)
    def run(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return work(*arguments, **options)
        except (StageFailed, CancelledRun):
            if not is_ending():
                raise
            return cast(R, Cancelled(message="ended after its step"))

    return run


def stop_when_ending(step: str) -> None:
    """Raises CancelledRun where a signal has come; the call of a cancelled task itself returns."""
    if is_ending():
        raise CancelledRun(f"ended after {step}")


@task(
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    retry_delay_seconds=BACK_OFF_SECONDS,
    retry_condition_fn=is_temporary,
)
@cancelled_when_ending
def stage_task(
    stage: str, *, force: bool = False, pull: bool = False, environment: Mapping[str, str] = EMPTY, minutes: float
) -> str:
    """One DVC stage, ended after `minutes`; returns ran, restored or unchanged. A training shows its epochs."""
    log, progress = get_run_logger(), EpochProgress(f"training-{stage.partition('@')[2]}", stage)

    def on_line(line: str) -> None:
        if epoch := read_epoch(line):
            progress.show_epoch(epoch)
        else:
            log.info(line)

    variables = {**environment, LINES: "1"}
    return run_stage(stage, on_line=on_line, force=force, pull=pull, environment=variables, seconds=60 * minutes)


@task(task_run_name="gate@{category}", cache_policy=NO_CACHE)
@cancelled_when_ending
def gate_task(category: str) -> str:
    """The gate after an evaluation; returns why it kept the champion, which is no failure: a rule failed, or could not
    tell, or the store is unavailable."""
    command = [sys.executable, "-m", "pipelines.cli.app", "--debug", "promote", category]
    kept = ""
    try:
        run_command(f"gate@{category}", command, on_line=get_run_logger().info)
    except StageFailed as error:
        if error.exit_code == SERVER_AWAY:
            return f"{error.reason}; the next retraining asks the gate again"
        if error.exit_code not in (REFUSED, INCONCLUSIVE):
            raise
        kept = error.reason
    clear_pending(category)
    return kept


@task(task_run_name="champion@{category}", cache_policy=NO_CACHE)
def champion_task(category: str) -> None:
    """The champion on today's images."""
    command = [sys.executable, "-m", "pipelines.cli.operations", "champion", category]
    run_command(f"champion@{category}", command, on_line=get_run_logger().info)


@task(task_run_name="drift@{category}", cache_policy=NO_CACHE)
def drift_task(category: str) -> None:
    """Recent photographs compared with the champion's calibration."""
    model = CHAMPION_MODEL.format(category=category)
    command = [sys.executable, "-m", "pipelines.cli.app", "--debug", "drift", category, "--model", model]
    run_command(f"drift@{category}", command, on_line=get_run_logger().info)


def run_stages(
    category: str, *, force: bool = False, pull: bool = False, environment: Mapping[str, str] = EMPTY
) -> dict[str, str]:
    """A category's stages in order, each a task; returns the outcome of each. Raises StageFailed where one fails;
    a model that DVC removed for its training is then restored."""
    limits = read_params().retrain
    staged = stage_task.with_options(retries=limits.retries)
    try:
        outcomes = {}
        for stage in stages_of(category):
            again = force and stage.startswith("train@")
            outcomes[stage] = staged(stage, force=again, pull=pull, environment=environment, minutes=limits.minutes)
            stop_when_ending(stage)
        if of_experiment(category):  # DVC knew the result from there; it is registered only by an evaluation
            stage = f"evaluate@{category}"
            outcomes[stage] = staged(stage, force=True, environment=environment, minutes=limits.minutes)
        return outcomes
    except (StageFailed, CancelledRun):
        restore_model(category)
        raise


def of_experiment(category: str) -> bool:
    """Whether the category's evaluation is one of `dvc exp run`."""
    about = report_folder(category) / "about.json"
    return about.is_file() and TAG in json.loads(about.read_text())


@task(task_run_name="{what}", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=BACK_OFF_SECONDS)
def dvc_task(what: str, *arguments: str) -> None:
    """Pulls from DVC's remote what a stage needs, or pushes what it made."""
    run_command(what, [*DVC, *arguments], on_line=get_run_logger().info)


@task(task_run_name="{category}", cache_policy=NO_CACHE)
@cancelled_when_ending
def category_task(category: str, *, slots: Slots, force: bool, promote: bool, environment: Mapping[str, str]) -> Result:
    """prepare, train, evaluate and gate of one category, here or by another machine."""
    start, retrain = time.perf_counter(), read_params().retrain
    on_pool = retrain.where == "pool"
    was_pending = promote and mark_pending(category)
    if on_pool:
        parameters = {"category": category, "commit": git("rev-parse", "HEAD"), "force": force}
        run_on_worker(parameters | {"parent": environment.get(PARENT, "")}, tries=1 + retrain.retries)
    with slots.acquired() as slot:
        outcomes = run_stages(category, force=force and not on_pool, pull=on_pool, environment={**environment, **slot})
        kept, decision = "", NO_DECISION
        if was_pending or (promote and outcomes[f"evaluate@{category}"] != "unchanged"):
            file = report_folder(category) / DECISION
            before = file.read_bytes() if file.is_file() else b""
            kept = gate_task(category)
            stop_when_ending("the gate")
            if file.is_file() and file.read_bytes() != before:  # it may be champion already, or the store away
                decision = read_decision(file.parent)
        elif promote:
            clear_pending(category)
        show_category(category)
    outcome = OUTCOMES[outcomes[f"train@{category}"]]
    return Result(category, outcome, kept, time.perf_counter() - start, decision)


def wait_for_result(future: PrefectFuture[Result], among: Collection[PrefectFuture[Result]]) -> Any:
    """The result of a category, or its error. A signal meanwhile ends the running stages after their step."""
    try:
        return future.result(raise_on_failure=False)
    except BaseException as error:
        if not isinstance(error, Exception):
            end_running()
            for one in among:  # they still report to Prefect, which this thread's end would cut off
                one.wait()
        raise


def stale_categories(categories: list[str]) -> set[str]:
    """Those with a stage that DVC finds changed: one query for all, so that a night without changes takes seconds.

    All of them where DVC does not answer, as while the stage of a killed retraining still ends: each then waits for
    its turn.
    """
    stages = {stage: category for category in categories for stage in stages_of(category)}
    try:
        return {stages[stage] for stage in stale_stages(list(stages))}
    except StageFailed as error:
        get_run_logger().warning("DVC cannot list the stale stages, so each one is checked: %s", error.reason)
        return set(categories)


def stages_of(category: str) -> list[str]:
    """A category's DVC stages in order; the demo's own are drawn first, a public data set's are downloaded."""
    first = source_stage(category, read_params())
    return [f"{stage}@{category}" for stage in ([first] if first else []) + list(CATEGORY_STAGES)]
