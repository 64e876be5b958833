"""One retraining of a project at a time; one whose process died is closed in Prefect by the next."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from pipelines.core.lock import locked
from pipelines.core.paths import STATE
from pipelines.core.stage import log

LOCK = STATE / "retraining.lock"


@contextmanager
def single_retraining(flow_runs: list[str | None]) -> Iterator[list[str]]:
    """For the flow runs of those ids (a run and what it is part of); yields the ids of those that died here.

    The kernel releases the lock however its holder ends: no clean-up is needed.

    Raises:
        LockHeld: a retraining is already running; the message names its process.
    """
    STATE.mkdir(exist_ok=True)
    ids = " ".join(sorted({run for run in flow_runs if run}))
    with locked(LOCK, what="skipped, a retraining is under way", wait=False, flow_runs=ids) as dead:
        yield str(dead.get("flow_runs", "")).split()


def close_dead_runs(flow_runs: list[str]) -> None:
    """Has Prefect show runs that died as crashed, where it still shows them as running."""
    if not flow_runs:
        return
    with get_client(sync_client=True) as client:
        for run in flow_runs:
            try:
                state = client.read_flow_run(UUID(run)).state
            except ObjectNotFound:  # of another server
                continue
            if state is None or not state.is_final():
                client.set_flow_run_state(UUID(run), Crashed(message="its process died"), force=True)
                log.warning("flow run %s had died with its process; it is shown as crashed now", run)
