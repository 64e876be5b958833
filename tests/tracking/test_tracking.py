"""Runs told truly: real processes that end in every way, servers that fail, stores used by many at once."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from pipelines.core.stage import TERMINATED, ServerAway
from pipelines.registry import comparison_view, store
from pipelines.tracking import journal
from pipelines.tracking.sync import sync
from tests.conftest import FULL, free_port
from tests.data.bad_server import bad_server

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
SCRIPT = """
import math, os, sys, time
from pipelines.tracking import runs
from pipelines.core.stage import exit_code

def work():
    with runs.new_run("{name}", tags={{"category": "{name}"}}) as run:
        run.log_metrics({{"loss": 1.5}}, step=1)
        {body}

sys.exit(exit_code(work))
"""
ENDINGS = {  # name: (what the block does, the signal sent to it, the process's exit code, the status in MLflow)
    "ok": ("pass", None, 0, "FINISHED"),
    "exit_0": ("sys.exit(0)", None, 0, "FINISHED"),
    "exception": ("raise RuntimeError('broken')", None, 1, "FAILED"),
    "exit_1": ("sys.exit(1)", None, 1, "FAILED"),
    "sigterm": ("print('in it', flush=True); time.sleep(60)", signal.SIGTERM, TERMINATED, "KILLED"),
    "sigint": ("print('in it', flush=True); time.sleep(60)", signal.SIGINT, 130, "KILLED"),
    "sigkill": ("print('in it', flush=True); time.sleep(60)", signal.SIGKILL, -signal.SIGKILL, "KILLED"),
    "os_exit": ("os._exit(0)", None, 0, "KILLED"),
}


def start(name: str, body: str, **environment: str) -> subprocess.Popen[str]:
    code = SCRIPT.format(name=name, body=textwrap.indent(textwrap.dedent(body), 8 * " ").lstrip())
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


def statuses() -> dict[str, str]:
    runs = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    return {run.data.tags["category"]: run.info.status for run in runs}


def test_every_way_to_end_has_its_true_status() -> None:
    for name, (body, number, code, _) in ENDINGS.items():
        process = start(name, body)
        if number is not None:
            assert process.stdout is not None
            assert process.stdout.readline() == "in it\n"
            process.send_signal(number)
        said, _none = process.communicate(timeout=60)
        assert process.returncode == code, (name, said)
    sync()
    assert statuses() == {name: status for name, (*_, status) in ENDINGS.items()}
    tags = {
        r.data.tags["category"]: r.data.tags
        for r in mlflow.search_runs(output_format="list", search_all_experiments=True)
    }
    assert "RuntimeError: broken" in tags["exception"]["ended_by"]
    assert "SIGKILL" in tags["sigkill"]["ended_by"]
    assert "ended_by" not in tags["ok"]


def test_a_running_run_is_left_alone_and_shown_by_its_carrier() -> None:
    process = start("alive", "print('in it', flush=True); time.sleep(90)", FASTFLOW_SYNC="now")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in it\n"
        sync()
        assert journal.pending() != []
        end = time.monotonic() + 60
        while time.monotonic() < end and statuses() != {"alive": "RUNNING"}:
            time.sleep(0.5)
        assert statuses() == {"alive": "RUNNING"}
        process.kill()  # its carrier sees it die, and says so without waiting for anybody
        while time.monotonic() < end and journal.pending():
            time.sleep(0.2)
        assert statuses() == {"alive": "KILLED"}
    finally:
        process.kill()
        process.communicate()


def test_replaying_again_changes_nothing(folder: Path) -> None:
    body = """
        run.log_params({f"p{i}": i for i in range(150)})
        for step in range(1200):
            run.log_metrics({"loss": 1 / (1 + step), "nan": math.nan}, step=step)
        from pathlib import Path
        Path("a.txt").write_text("kept")
        run.log_files(Path("a.txt"), under="report")
        Path("a.txt").write_text("changed later")
        run.log_dataset(name="d", digest="abc.dir", source="data/d", context="training", rows=3)
    """
    assert start("twice", body).wait(60) == 0
    (pending,) = journal.pending()
    copies = [pending.with_name(f"{'9' * 20}-copy{i}-1") for i in range(2)]
    for copy in copies:  # the same journal again: what a carrier that died before its last step leaves
        subprocess.run(["cp", "-r", str(pending), str(copy)], check=True)
    sync()
    (run,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    client = mlflow.MlflowClient()
    steps = [m.step for m in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted([1, *range(1200)]) == sorted(steps)  # the script's first one is another value of step 1
    assert len(client.get_metric_history(run.info.run_id, "nan")) == 1200
    assert len(run.data.params) == 150
    assert run.inputs is not None
    assert [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs] == [("d", "abc.dir")]
    uploaded = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report/a.txt")
    assert uploaded == "kept"
    assert journal.pending() == []


def test_a_torn_last_line_is_left_out_and_the_run_counts_as_killed() -> None:
    process = start("torn", "os._exit(0)")
    assert process.wait(60) == 0
    (pending,) = journal.pending()
    with (pending / "journal.jsonl").open("a") as file:
        file.write('{"op": "metrics", "val')
    sync()
    assert statuses() == {"torn": "KILLED"}


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
    assert "WARNING: MLflow has not got all of this run" in said
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
        server.wait()


def start_server(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI")
    with (folder / "server.log").open("wb") as said:
        server = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.3)
    raise AssertionError((folder / "server.log").read_text()[-2000:])


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
def test_four_processes_with_their_carriers_on_a_fresh_store_all_succeed() -> None:
    processes = [start(f"p{i}", "pass", FASTFLOW_SYNC="now") for i in range(4)]
    said = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert not any("WARNING" in text for text in said), said
    store.connect()
    assert statuses() == {f"p{i}": "FINISHED" for i in range(4)}


def test_children_of_a_retraining_stand_below_it() -> None:
    parent = "k" * 32
    for name in ("one", "two"):
        process = start(name, "pass", FASTFLOW_PARENT_RUN=f"{parent} retraining today")
        assert process.wait(60) == 0
    sync()
    runs = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    (above,) = [r for r in runs if r.data.tags.get("run_key") == parent]
    below = [r.data.tags["category"] for r in runs if r.data.tags.get("mlflow.parentRunId") == above.info.run_id]
    assert sorted(below) == ["one", "two"]
    assert above.info.run_name == "retraining today"


def test_the_view_comes_to_an_older_store_and_a_persons_own_stays() -> None:
    client = store.connect()
    number = store.experiment_id(client)
    assert client.get_experiment(number).tags == {comparison_view.TAG: comparison_view.SAVED}
    client.delete_experiment_tag(number, comparison_view.TAG)
    assert store.connect().get_experiment(number).tags == {comparison_view.TAG: comparison_view.SAVED}
    client.set_experiment_tag(number, comparison_view.TAG, "my own")
    assert store.connect().get_experiment(number).tags == {comparison_view.TAG: "my own"}
