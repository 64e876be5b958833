"""DVC's stages as tasks of the flows, each a process of its own, its output in the task's log."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled

from pipelines.core.dvc import DVC, EMPTY, TIMED_OUT, StageFailed, is_ending, restore_model, run_command, run_stage
from pipelines.core.epoch_lines import LINES, read_epoch
from pipelines.core.experiment import TAG
from pipelines.core.metrics_file import CURE
from pipelines.core.params import read_params
from pipelines.core.paths import report_folder
from pipelines.core.stage import BAD_DATA, FAILED, USAGE
from pipelines.core.stored import read_stored
from pipelines.data.origin import source_stage
from pipelines.orchestration.flow_artifacts import EpochProgress

P = ParamSpec("P")
R = TypeVar("R")
HERE = Path()
NO_COMMANDS: Mapping[str, list[str]] = MappingProxyType({})
CATEGORY_STAGES = ("prepare", "train", "evaluate")
PERMANENT_EXIT_CODES = (FAILED, USAGE, BAD_DATA, TIMED_OUT)  # that a retry cannot change
BACK_OFF_SECONDS = [5.0, 30.0, 120.0, 600.0]  # before each retry


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
    stage: str,
    *,
    force: bool = False,
    pull: bool = False,
    environment: Mapping[str, str] = EMPTY,
    minutes: float,
    command: list[str] | None = None,
    folder: Path = HERE,
) -> str:
    """One DVC stage, or `command` in its place, in `folder`; ended after `minutes`. Returns ran, restored or unchanged.
    A training shows its epochs."""
    log, progress = get_run_logger(), EpochProgress(f"training-{stage.partition('@')[2]}", stage)

    def on_line(line: str) -> None:
        if epoch := read_epoch(line):
            progress.show_epoch(epoch)
        else:
            log.info(line)

    variables = {**environment, LINES: "1"}
    if command:
        run_command(stage, command, on_line=on_line, environment=variables, seconds=60 * minutes, folder=folder)
        return "ran"
    return run_stage(stage, on_line=on_line, force=force, pull=pull, environment=variables, seconds=60 * minutes)


def run_stages(
    category: str, *, force: bool = False, pull: bool = False, environment: Mapping[str, str] = EMPTY
) -> dict[str, str]:
    """A category's stages in order, each a task; returns the outcome of each. Raises StageFailed where one fails;
    a model that DVC removed for its training is then restored."""
    try:
        outcomes: dict[str, str] = {}
        for stage in stages_of(category):
            again = force and stage.startswith("train@")
            outcomes |= run_each([stage], force=again, pull=pull, environment=environment)
        if of_experiment(category):  # DVC knew the result from there; it is registered only by an evaluation
            outcomes |= run_each([f"evaluate@{category}"], force=True, environment=environment)
        return outcomes
    except (StageFailed, CancelledRun):
        restore_model(category)
        raise


def run_each(
    stages: Iterable[str], *, commands: Mapping[str, list[str]] = NO_COMMANDS, **options: Any
) -> dict[str, str]:
    """Stages in order, by DVC or by their own commands, each a task with these options; the outcome of each."""
    outcomes: dict[str, str] = {}
    limits = read_params().retrain
    staged = stage_task.with_options(retries=limits.retries)
    for stage in stages:
        outcomes[stage] = staged(stage, command=commands.get(stage), minutes=limits.minutes, **options)
        stop_when_ending(stage)
    return outcomes


def of_experiment(category: str) -> bool:
    """Whether the category's evaluation is one of `dvc exp run`."""
    about = report_folder(category) / "about.json"
    return about.is_file() and TAG in read_stored(about, dict[str, Any], cure=CURE)


@task(task_run_name="{what}", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=BACK_OFF_SECONDS)
def dvc_task(what: str, *arguments: str) -> None:
    """Pulls from DVC's remote what a stage needs, or pushes what it made."""
    run_command(what, [*DVC, *arguments], on_line=get_run_logger().info)


def stages_of(category: str) -> list[str]:
    """A category's DVC stages in order; the demo's own are drawn first, a public data set's are downloaded."""
    first = source_stage(category, read_params())
    return [f"{stage}@{category}" for stage in ([first] if first else []) + list(CATEGORY_STAGES)]
