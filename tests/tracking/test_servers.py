"""Servers that fail, and stores used by many processes at once: nothing is lost, nothing waits long."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from pipelines.core.stage import ServerAway
from pipelines.registry import store
from pipelines.tracking import journal
from pipelines.tracking.sync import sync
from tests.conftest import FULL, free_port
from tests.data.bad_server import bad_server
from tests.tracking.kit import start, start_server, statuses

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["refused", "silent", "error", "slow"])
def test_a_bad_server_costs_little_and_loses_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with bad_server(kind) as address:
        body = """
            for i in range(60): run.log_metrics({'loss': i}, step=i); time.sleep(.25)
            worked = time.monotonic()
            import atexit
            atexit.register(lambda: print("over", time.monotonic() - worked, flush=True))
        """
        process = start(kind, body, FASTFLOW_SYNC="now", MLFLOW_TRACKING_URI=address)
        said, _ = process.communicate(timeout=100)
        over = float(said.split("over ")[1].split()[0])
    assert process.returncode == 0
    assert "WARNING: MLflow has not received all of this run" in said
    assert "fastflow sync" in said
    assert "secret" not in said
    assert over < 4, said  # 2.5 s of patience
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    sync()
    (run,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    assert run.info.status == "FINISHED"
    assert len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")) == 61


def test_sync_names_a_server_that_is_away_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert start("later", "pass").wait(60) == 0
    with bad_server("refused") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(ServerAway, match=r"the MLflow store http://127.0.0.1:\d+ cannot be used") as caught:
            sync()
    assert "secret" not in str(caught.value)
    assert len(journal.pending()) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_stopped_and_started_in_mid_run_ends_with_exactly_the_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    server = start_server(folder, port)
    try:
        body = "for i in range(60): run.log_metrics({'loss': i}, step=i); time.sleep(.3)\n"
        process = start("stopped", body, FASTFLOW_SYNC="now", MLFLOW_HTTP_REQUEST_TIMEOUT="2")
        time.sleep(9)
        os.killpg(server.pid, signal.SIGSTOP)  # dying: it accepts, and never answers
        assert process.wait(60) == 0
        os.killpg(server.pid, signal.SIGCONT)
        sync()
        (run,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
        values = [m.value for m in mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")]
        assert sorted(values) == sorted([1.5, *map(float, range(60))])
        assert run.info.status == "FINISHED"
    finally:
        os.killpg(server.pid, signal.SIGCONT)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(120)


TRIALS = 20 if FULL else 4  # 6 s of CPU each
WRITERS = """
import os, sys
from pathlib import Path
from pipelines.tracking import runs
from pipelines.tracking.sync import sync

def write(name):
    with runs.new_run(name, tags={"category": name}) as run:
        run.log_metrics({"loss": 1.0})
    sync()

for trial in range(int(sys.argv[1])):
    Path(f"{trial:02}").mkdir()
    os.chdir(f"{trial:02}")
    children = []
    for i in range(4):
        children.append(os.fork())
        if children[-1] == 0:
            code = 1
            try:
                write(f"p{i}")
                code = 0
            finally:
                os._exit(code)
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], flush=True)
    os.chdir("..")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_processes_on_a_fresh_store_all_succeed_each_time(folder: Path) -> None:
    """Forked when MLflow is imported, so that all four reach the store at once. What is in it is asked of SQLite."""
    done = subprocess.run([sys.executable, "-c", WRITERS, str(TRIALS)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[0, 0, 0, 0]"] * TRIALS, done.stderr[-3000:]
    written = []
    for trial in sorted(folder.glob("[0-9]*")):
        with closing(sqlite3.connect(trial / ".mlflow/mlflow.db")) as connection:
            written += connection.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
    assert written == [(f"p{i}", "FINISHED") for i in range(4)] * TRIALS


@pytest.mark.slow
def test_four_processes_with_their_uploaders_on_a_fresh_store_all_succeed() -> None:
    processes = [start(f"p{i}", "pass", FASTFLOW_SYNC="now") for i in range(4)]
    said = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert not any("WARNING" in text for text in said), said
    store.connect()
    assert statuses() == {f"p{i}": "FINISHED" for i in range(4)}
