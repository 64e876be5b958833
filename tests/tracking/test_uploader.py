"""Who sends a journal: the process of its own run, or that of the retraining it belongs to. With real processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from pipelines.core.paths import STORE
from pipelines.registry import store
from pipelines.tracking import journal
from tests.tracking.kit import start, statuses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
RETRAINING = """
import os, subprocess, sys
from pipelines.tracking import runs

with runs.new_run("night", tags={"category": "night"}, with_children=True) as run:
    for line in sys.stdin:
        code = subprocess.run([sys.executable, "-c", STAGE], env=os.environ | run.of_children()).returncode
        print("stage ended with", code, flush=True)
"""
STAGE = """
import time
from pipelines.tracking import runs

start = time.monotonic()
with runs.new_run("stage", tags={"category": "stage"}) as run:
    run.log_metrics({"loss": 1.0})
print("sent" if run.result else "not sent", flush=True)
"""


@pytest.fixture
def night() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"STAGE = {STAGE!r}\n{RETRAINING}"]
    environment = os.environ | {"FASTFLOW_SYNC": "now"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def said_by(night: subprocess.Popen[str]) -> list[str]:
    """What one stage of the retraining says, and the retraining of it."""
    assert night.stdin is not None
    assert night.stdout is not None
    print(file=night.stdin, flush=True)
    return [night.stdout.readline().strip() for _ in range(2)]


def uploader_of(night: subprocess.Popen[str]) -> psutil.Process:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [child for child in psutil.Process(night.pid).children() if "follow" in child.cmdline()]
        if found and is_in_store("night"):
            return found[0]
        time.sleep(0.2)
    raise AssertionError("the retraining has no uploader")


def is_in_store(name: str) -> bool:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(STORE / "mlflow.db")) as database:
        return bool(database.execute("SELECT 1 FROM runs WHERE name = ?", (name,)).fetchall())
    return False


def sent_by_themselves() -> list[str]:
    return sorted(log.parent.name.split("-")[1] for log in journal.DONE.glob("*/carrier.log"))


def test_a_retrainings_uploader_sends_its_stages(night: subprocess.Popen[str]) -> None:
    with night:
        uploader_of(night)
        assert said_by(night) == ["sent", "stage ended with 0"]
        assert said_by(night) == ["sent", "stage ended with 0"]
        night.communicate(timeout=120)
    store.connect()
    assert statuses() == {"night": "FINISHED", "stage": "FINISHED"}
    assert journal.pending() == []
    assert sent_by_themselves() == ["night"]


def test_a_stage_sends_its_run_itself_where_the_retrainings_uploader_died(night: subprocess.Popen[str]) -> None:
    with night:
        uploader_of(night).send_signal(signal.SIGKILL)
        assert said_by(night) == ["sent", "stage ended with 0"]
        night.communicate(timeout=120)
    store.connect()
    assert statuses()["stage"] == "FINISHED"
    assert "stage" in sent_by_themselves()


def test_another_projects_retraining_does_not_send_a_run(folder: Path) -> None:
    process = start("own", "pass", FASTFLOW_SYNC="now", FASTFLOW_UPLOADED_WITH=str(folder / "other/journal/1-night-1"))
    assert process.wait(120) == 0
    assert sent_by_themselves() == ["own"]


def test_a_damaged_journal_holds_up_no_other() -> None:
    assert start("old", "pass").wait(60) == 0
    (damaged,) = journal.pending()
    (damaged / "journal.jsonl").write_bytes(b"no entry\n")
    process = start("new", "pass", FASTFLOW_SYNC="now")
    said, _ = process.communicate(timeout=120)
    assert "WARNING" not in said
    store.connect()
    assert statuses() == {"new": "FINISHED"}
    assert journal.pending() == [damaged]
