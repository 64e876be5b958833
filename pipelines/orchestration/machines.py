"""Retraining on other machines: each worker has a clone of its own, and shares with the others nothing but git, DVC's
remote, the MLflow server and the Prefect server.

A worker trains a category and pushes the result; the coordinator has DVC restore it, by its hashes, and writes
dvc.lock. A dead worker is detected by its missing heartbeat, and its category given to another.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.deployments import run_deployment
from prefect.states import Crashed

from pipelines.core.revision import but_for_results
from pipelines.core.stage import Failed, log
from pipelines.orchestration.service_settings import MACHINES

DEPLOYMENT = "retrain-here/pool"
POLL_SECONDS, CLAIM_TIMEOUT_SECONDS = 3.0, 180.0
MAX_POLLS_PER_SECOND = 5  # of all runs together
GIT_SECONDS = 600  # a fetch over a slow line
_WORKER = "worker:"
_watched: set[UUID] = set()


class NoWorkerFinished(Failed):
    """No worker finished a category; the message has the outcome of each attempt."""


def own_clone() -> dict[str, str]:
    """Prefect's pull step on a worker: its clone, at the commit that the run asks for.

    Raises:
        Failed: the clone has changes of its own, or git cannot get the commit.
    """
    folder = os.environ.get("FASTFLOW_PROJECT")
    if not folder:
        raise Failed("FASTFLOW_PROJECT is not set: start this worker by `make worker` in its clone")
    os.chdir(folder)
    with get_client(sync_client=True) as client:
        commit = str(client.read_flow_run(UUID(os.environ["PREFECT__FLOW_RUN_ID"])).parameters["commit"])
    if git("rev-parse", "HEAD") != commit:
        refuse_changes()
        git("fetch", "--quiet", "--all")
        git("checkout", "--quiet", "--force", "--detach", commit)  # --force: dvc.lock differs after each training
    return {"directory": folder}


def refuse_changes() -> None:
    """Raises Failed where tracked files differ from the commit; dvc.lock and decisions may: each night writes them."""
    listed = git("status", "--porcelain", "--untracked-files=no", "--", *but_for_results())
    changed = [line for line in listed.splitlines() if line]
    if changed:
        names = ", ".join(line.split()[-1] for line in changed)
        raise Failed(f"{names}: changed, and in no commit; other machines would train something else: commit and push")


def refuse_epochs(epochs: int | None, committed: int | None) -> None:
    """Raises Failed where a retraining asks for other epochs than those of params.yaml."""
    if epochs not in (None, committed):
        raise Failed(
            f"other machines train by the committed params.yaml: train.epochs is {committed or 'null'} there, "
            f"not {epochs}; change it, commit and push"
        )


def git(*arguments: str) -> str:
    """What git prints. Raises Failed where it fails, or does not end: a remote that does not answer."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=GIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"git {' '.join(arguments)} did not end within {GIT_SECONDS} s") from error
    if done.returncode:
        raise Failed(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def record_worker(flow_run: str) -> None:
    """Tags a run with the worker that has it."""
    if name := os.environ.get("PREFECT__WORKER_NAME"):
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run), tags=[f"{_WORKER}{name}"])


def run_on_worker(parameters: dict[str, Any], *, tries: int) -> str:
    """Has a worker run it, and another one if that dies; returns its message.

    Raises:
        NoWorkerFinished: it failed for a permanent reason, or `tries` workers died.
    """
    outcomes = []
    for _ in range(tries):
        run = run_deployment(DEPLOYMENT, parameters=parameters, timeout=0, as_subflow=False)
        assert isinstance(run, FlowRun)
        state = wait_for_run(run.id)
        message = state.message or state.name or ""
        if state.is_completed():
            return message
        outcomes.append(f"{state.name}: {message}")
        if not state.is_crashed():
            break
        log.warning("%s: a worker died (%s); trying another", parameters, message)
    raise NoWorkerFinished("; ".join(outcomes))


def wait_for_run(run_id: UUID) -> Any:
    """The final state of a run; one whose worker has died is closed as crashed."""
    claimed = None
    with _counting(run_id):
        while True:
            with get_client(sync_client=True) as client:
                run = client.read_flow_run(run_id)
                assert run.state is not None
                if run.state.is_final():
                    return run.state
                claimed = (claimed or time.monotonic()) if run.state.is_pending() else None
                dead = (claimed and time.monotonic() - claimed > CLAIM_TIMEOUT_SECONDS) or not worker_is_alive(
                    client, run
                )
                if dead:
                    client.set_flow_run_state(run_id, Crashed(message="its worker is gone"), force=True)
            time.sleep(poll_seconds(len(_watched)))


def poll_seconds(num_watched: int) -> float:
    """Seconds between two polls of a run: more where many are watched, so that the server has time for its work."""
    return max(POLL_SECONDS, num_watched / MAX_POLLS_PER_SECOND)


@contextmanager
def _counting(run_id: UUID) -> Iterator[None]:
    _watched.add(run_id)
    try:
        yield
    finally:
        _watched.discard(run_id)


def worker_is_alive(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the worker in a run's tags still sends heartbeats; true where there is none yet."""
    names = [tag.removeprefix(_WORKER) for tag in run.tags if tag.startswith(_WORKER)]
    if not names:
        return True
    workers = client.read_workers_for_work_pool(work_pool_name=MACHINES)
    return any(worker.name == names[0] and worker.status == WorkerStatus.ONLINE for worker in workers)


def images_file(root: str, category: str) -> Path:
    """The .dvc file of a category's images, where they are tracked."""
    return Path(root) / f"{category}.dvc"
