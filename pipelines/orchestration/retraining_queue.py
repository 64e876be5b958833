"""One retraining of a project at a time: others wait for their turn. One whose process died is closed in Prefect by
the next.

The queue is the kernel's lock and not a concurrency limit of Prefect's, as `make retrain` needs no server, and as no
killed process holds a slot.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed, Running

from pipelines.core.lock import LockHeld, locked
from pipelines.core.paths import STATE
from pipelines.core.stage import Failed, log

LOCK = STATE / "retraining.lock"
QUEUED = "Queued"  # the state that Prefect shows meanwhile
QUEUE_HOURS, POLL_SECONDS = 24, 2.0


@contextmanager
def single_retraining(flow_runs: list[str | None]) -> Iterator[list[str]]:
    """For the flow runs of those ids (a run and what it is part of); yields the ids of those that died here.

    The kernel releases the lock however its holder ends: no clean-up is needed.

    Raises:
        LockHeld: a retraining is already running; the message names its process.
    """
    STATE.mkdir(exist_ok=True)
    ids = " ".join(sorted({run for run in flow_runs if run}))
    with locked(LOCK, what="a retraining is running", wait=False, flow_runs=ids) as dead:
        yield str(dead.get("flow_runs", "")).split()


@contextmanager
def queued_retraining(flow_runs: list[str | None]) -> Iterator[list[str]]:
    """As `single_retraining`, after the one that is running; Prefect shows these runs as queued until then.

    Raises:
        Failed: it has not ended within a day.
    """
    end, shown = time.monotonic() + 3600 * QUEUE_HOURS, False
    with ExitStack() as turn:
        while True:
            try:
                dead = turn.enter_context(single_retraining(flow_runs))
                break
            except LockHeld as held:
                if time.monotonic() > end:
                    raise Failed(f"waited {QUEUE_HOURS} hours for its turn: {held}") from held
                if not shown:
                    log.info("queued: %s", held)
                    _show_state(flow_runs, Running(name=QUEUED, message=str(held)))
                    shown = True
                time.sleep(POLL_SECONDS)
        if shown:
            _show_state(flow_runs, Running())
        yield dead


def _show_state(flow_runs: list[str | None], state: State[None]) -> None:
    with get_client(sync_client=True) as client:
        for run in filter(None, set(flow_runs)):
            client.set_flow_run_state(UUID(run), state, force=True)


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
