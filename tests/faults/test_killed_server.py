"""An MLflow server is killed while a run is written to it: what it had taken in is kept once, the rest follows."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pipelines.core.stage import SERVER_AWAY
from pipelines.tracking import journal, runs
from tests.conftest import free_port, until
from tests.tracking.kit import start_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
STEPS = 5_000  # ten requests' metrics
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server of this folder at one address, which the environment names; ends it after the test."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    started: list[subprocess.Popen[bytes]] = []

    def server() -> subprocess.Popen[bytes]:
        started.append(start_server(folder, port))
        return started[-1]

    yield server
    for one in started:
        kill(one)


def kill(server: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(60)


def stored(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{folder}/server.db?mode=ro", uri=True, timeout=30)) as base:
        return base.execute(query).fetchall()


def sync() -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipelines.cli.app", "sync"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_server_killed_between_two_requests_or_in_one_has_each_value_once_at_the_end(
    folder: Path, start: Start
) -> None:
    (folder / "params.yaml").touch()
    with runs.new_run("night", tags={"category": "plates"}) as run:
        for step in range(STEPS):
            run.log_metrics({"loss": step / 2}, step=step)
    (written,) = journal.pending()
    server = start()
    sending = sync()
    metrics = "SELECT count(*) FROM metrics"
    until(lambda: stored(folder, metrics) > [(0,)], sending)
    kill(server)
    said, _ = sending.communicate(timeout=120)
    ((taken,),) = stored(folder, metrics)
    assert isinstance(taken, int)
    assert 0 < taken < STEPS, "it was killed too late"
    assert sending.returncode == SERVER_AWAY, said
    assert "error: the MLflow store http://127.0.0.1:" in said
    assert "Traceback" not in said
    assert journal.pending() == [written]
    start()
    again = sync()
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 0, said
    assert journal.pending() == []
    assert stored(folder, "SELECT value, step FROM metrics ORDER BY step") == [(n / 2, n) for n in range(STEPS)]
    assert stored(folder, "SELECT name, status FROM runs") == [("night", "FINISHED")]
