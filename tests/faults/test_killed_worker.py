"""The process that uploads a run to MLflow is killed: the training neither fails nor hangs, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from pipelines.tracking import journal
from pipelines.tracking.sync import sync

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
SCRIPT = """
import sys, time
from pathlib import Path
from pipelines.tracking import runs
from pipelines.core.stage import exit_code

def work():
    with runs.new_run("carried", tags={}) as run:
        print("begun", flush=True)
        for _ in range(2400):
            time.sleep(0.05 * (not Path("go").exists()))
        run.log_metrics({"loss": 1.5}, step=1)

sys.exit(exit_code(work))
"""


def uploaders(folder: Path) -> list[int]:
    """The processes that upload this journal."""
    done = subprocess.run(
        ["pgrep", "-f", f"pipelines.cli.operations follow .*{folder.name}"], capture_output=True, text=True
    )
    return [int(pid) for pid in done.stdout.split()]


def test_a_run_whose_uploader_is_killed_ends_well_and_is_sent_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASTFLOW_SYNC")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    (pending,) = journal.pending()
    end = time.monotonic() + 30
    while not uploaders(pending) and time.monotonic() < end:
        time.sleep(0.05)
    (uploader,) = uploaders(pending)
    os.kill(uploader, signal.SIGKILL)
    (folder / "go").touch()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "WARNING: MLflow has not received all of this run" in said
    assert "fastflow sync" in said
    sync()
    (run,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["loss"] == 1.5
