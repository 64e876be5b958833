"""The disk of MLflow's SQLite store is full while a run is written to it: a sentence, nothing lost, nothing twice."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.stage import SERVER_AWAY
from pipelines.tracking import journal
from tests.faults.kit import unshared

pytestmark = [pytest.mark.usefixtures("folder")]
MOUNTED = 'mkdir .mlflow && mount -t tmpfs -o size=8m tmpfs .mlflow && exec "$@"'
SCRIPT = """
import json, shutil, sqlite3
from pathlib import Path
from pipelines.core.stage import exit_code
from pipelines.tracking import journal, runs
from pipelines.tracking.sync import sync

def write(name, steps):
    with runs.new_run(name, tags={}) as run:
        for step in range(steps):
            run.log_metrics({"loss": step / 2}, step=step)

def stored():
    with sqlite3.connect(".mlflow/mlflow.db") as base:
        runs = base.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        return runs, base.execute("SELECT value, step FROM metrics ORDER BY step").fetchall()

found = {}
write("before", 0)
found["first"] = exit_code(lambda: sync() and None)
write("night", 5000)
filler = Path(".mlflow/filler")
filler.write_bytes(bytes(shutil.disk_usage(".mlflow").free - 200_000))
found["full"] = exit_code(lambda: sync() and None)
found["pending"] = len(journal.pending())
found["kept"], _ = stored()
filler.unlink()
found["again"] = exit_code(lambda: sync() and None)
found["pending after"] = len(journal.pending())
found["runs"], found["metrics"] = stored()
Path("found.json").write_text(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
def test_a_store_without_room_says_so_and_gets_everything_once_there_is_some(folder: Path) -> None:
    start = [*unshared("--map-root-user", "--mount"), "sh", "-c", MOUNTED, "sh", sys.executable, "-c", SCRIPT]
    done = subprocess.run(start, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((folder / "found.json").read_text())
    assert (found["first"], found["full"], found["pending"]) == (0, SERVER_AWAY, 1), done.stderr[-3000:]
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "the MLflow store has no room for .mlflow/journal/" in said
    assert "MB are needed, 0 MB are free on its disk: make room" in said
    assert ["before", "FINISHED"] in found["kept"]
    assert (found["again"], found["pending after"]) == (0, 0), done.stderr[-3000:]
    assert found["runs"] == [["before", "FINISHED"], ["night", "FINISHED"]]
    assert found["metrics"] == [[step / 2, step] for step in range(5000)]


def test_half_a_line_of_a_journal_does_not_stay_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    made, whole = journal.Journal("night", key="k", name="n"), os.write

    def full(handle: int, content: bytes) -> int:
        if len(content) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(handle, content[: len(content) - 5])

    with monkeypatch.context() as here:
        here.setattr(os, "write", full)
        with pytest.raises(OSError, match=r"journal\.jsonl cannot be written: No space left.*MB are free"):
            made.add("tags", values={"category": "plates"})
    made.close(status="FAILED")  # there is room again
    assert [entry["op"] for entry in journal.read(made.folder)] == ["run", "end"]
