"""The tasks of the flows: categories and our commands, each a process of its own, its output in the task's log."""

import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from pipelines.core.dvc import EMPTY, StageFailed, end_running, run_command, stale_stages
from pipelines.core.params import Params, read_params
from pipelines.core.paths import CHAMPION_MODEL, report_folder
from pipelines.core.stage import INCONCLUSIVE, REFUSED, SERVER_AWAY
from pipelines.orchestration.flow_artifacts import NO_DECISION, Progress, Result, show_category, summary_of
from pipelines.orchestration.machines import git, run_on_worker
from pipelines.orchestration.slots import Slots
from pipelines.orchestration.stage_tasks import HERE, cancelled_when_ending, run_stages, stages_of, stop_when_ending
from pipelines.promotion.pending import clear_pending, mark_pending
from pipelines.reporting.decision import FILE as DECISION
from pipelines.reporting.decision import read_decision
from pipelines.tracking.runs import PARENT

OUTCOMES = {"ran": "trained", "restored": "restored", "unchanged": "up to date"}


@task(task_run_name="gate@{category}", cache_policy=NO_CACHE)
@cancelled_when_ending
def gate_task(category: str, *, environment: Mapping[str, str] = EMPTY, folder: Path = HERE) -> str:
    """The gate after an evaluation in `folder`; returns why it kept the champion, which is no failure: a rule failed,
    or could not tell, or the store is unavailable."""
    command = [sys.executable, "-m", "pipelines.cli.app", "--debug", "promote", category]
    kept = ""
    try:
        log = get_run_logger().info
        run_command(f"gate@{category}", command, on_line=log, environment=environment, folder=folder)
    except StageFailed as error:
        if error.exit_code == SERVER_AWAY and folder == HERE:
            return f"{error.reason}; the next retraining asks the gate again"
        if error.exit_code == SERVER_AWAY:
            return f"{error.reason}; when it answers: fastflow sync, then fastflow promote {category} --version N"
        if error.exit_code not in (REFUSED, INCONCLUSIVE):
            raise
        kept = error.reason
    if folder == HERE:
        clear_pending(category)
    return kept


def asked_gate(
    category: str, *, environment: Mapping[str, str] = EMPTY, folder: Path = HERE
) -> tuple[str, Mapping[str, Any]]:
    """Why the gate kept the champion, and its decision; none where it made none: the model may be champion already, or
    the store away."""
    file = folder / report_folder(category) / DECISION
    before = file.read_bytes() if file.is_file() else b""
    kept = gate_task(category, environment=environment, folder=folder)
    decided = file.is_file() and file.read_bytes() != before
    return kept, read_decision(file.parent) if decided else NO_DECISION


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
            kept, decision = asked_gate(category)
            stop_when_ending("the gate")
        elif promote:
            clear_pending(category)
        outcome = OUTCOMES[outcomes[f"train@{category}"]]
        result = Result.of(category, outcome, kept, time.perf_counter() - start, decision)
        show_category(result)
    return result


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


def run_each_category(
    categories: list[str], todo: Collection[str], work: Task[..., Result], params: Params, **settings: Any
) -> list[Result]:
    """The result of each category: those in `todo` by the task `work`, as many at once as there are `Slots`."""
    progress, slots = Progress("retraining", ", ".join(categories)), Slots(params)
    results = []
    threads = len(todo) if params.retrain.where == "pool" else slots.count  # waiting for workers takes no slot
    with ThreadPoolTaskRunner[Result](max_workers=max(1, threads)) as runner:
        shared = {"slots": slots, **settings}
        futures = {c: runner.submit(work, {"category": c} | shared) for c in categories if c in todo}
        for category in categories:
            if category in todo:
                result = wait_for_result(futures[category], futures.values())
            else:
                result = Result.of(category, "up to date", "", 0.0)
            if isinstance(result, BaseException):
                result = Result(category, "failed", str(result))
            results.append(result)
            progress.show(100 * len(results) / len(categories), summary_of(results), at_once=True)
    return results


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
