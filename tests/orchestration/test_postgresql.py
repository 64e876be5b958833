"""MLflow and Prefect on a PostgreSQL server of the system's packages: two workers in clones of their own, one of which
dies, and a coordinator whose Prefect server and worker die and are started again.

Skips where PostgreSQL or its driver is not installed. Half an hour on two busy cores:
    FASTFLOW_FULL=1 python -m pytest -m slow tests/orchestration/test_postgresql.py
"""

import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.stage import Failed
from pipelines.orchestration.service_settings import BACKEND, PREFECT_BACKEND, require_drivers
from tests.conftest import FULL
from tests.orchestration.test_machines import coordinating, lose_power, taken, two_workers
from tests.orchestration.test_services import asking, ended, services_of, until
from tests.test_pipeline import dvc, run

CATEGORIES = [f"part{i}" for i in range(15)]
SECONDS = 60
PROGRAMS = ("initdb", "pg_ctl", "createdb")


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps out of PATH."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    places += [Path(found).parent for found in [shutil.which("initdb")] if found]
    return next((place for place in places if all((place / name).is_file() for name in PROGRAMS)), None)


def without_driver() -> bool:
    return importlib.util.find_spec("psycopg2") is None or importlib.util.find_spec("asyncpg") is None


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """Two data bases of a server of its own, which listens on a socket alone; as the user postgres where this is root,
    whom the server refuses."""
    found = programs()
    assert found
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # pytest's folders are closed to other users
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    folder.chmod(0o755)

    def call(program: str, *options: str) -> None:
        command = [str(found / program), *options]
        subprocess.run(command, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL, cwd=folder, **as_user)

    call("initdb", "-D", f"{folder}/db", "-A", "trust", "-U", "postgres")
    server = f"-k {folder} -c listen_addresses=''"
    call("pg_ctl", "-D", f"{folder}/db", "-w", "-l", f"{folder}/log", "-o", server, "start")
    try:
        for name in ("mlflow", "prefect"):
            call("createdb", "-h", str(folder), "-U", "postgres", name)
        place = f"postgres@/{{}}?host={folder}".format
        yield {
            BACKEND: f"postgresql+psycopg2://{place('mlflow')}",
            PREFECT_BACKEND: f"postgresql+asyncpg://{place('prefect')}",
        }
    finally:
        call("pg_ctl", "-D", f"{folder}/db", "-m", "fast", "-w", "stop")
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.skipif(not FULL, reason="takes half an hour; FASTFLOW_FULL=1 runs it")
@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql")
@pytest.mark.skipif(without_driver(), reason="its driver is not installed: pip install psycopg2-binary")
def test_a_worker_dies_the_coordinator_comes_again_and_nothing_is_lost(
    addresses: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)
    with coordinating(tmp_path, CATEGORIES) as coordinator:
        ask = asking(coordinator)
        with two_workers(coordinator, tmp_path) as first:
            dead = ask("run", "retrain-all/nightly", "{}")
            until(lambda: taken(ask, "first", "Running"), 600)
            time.sleep(5)  # in the middle of a stage
            lose_power(first)
            until(lambda: taken(ask, "second", "Completed"), 2400)
            running = services_of(coordinator)
            holder = json.loads((coordinator / ".state/retraining.lock").read_text())["pid"]
            for process in (running["prefect"], running["worker"], holder):
                os.kill(process, signal.SIGKILL)
            run(coordinator, sys.executable, "-m", "pipelines.cli.operations", "up")
            whole = ask("run", "retrain-all/nightly", "{}")
            until(lambda: ended(ask, whole), 2400)
            runs = {r[0]: r for r in ask("runs")}
            assert runs[dead][2] == "Crashed"
            assert runs[whole][2] == "Completed", runs[whole]
            assert "up to date" in dvc(coordinator, "status")
            said = (coordinator / ".state/services/worker.log").read_text()
            assert not re.search(r"Running stage '\w+@", said), "the coordinator trained what it had to restore"
            for category in CATEGORIES:
                assert json.loads((coordinator / f"reports/{category}/gate.json").read_text())["verdict"] == "promoted"
            assert not (coordinator / ".mlflow/mlflow.db").exists()
            lock = yaml.safe_load((coordinator / "dvc.lock").read_text())["stages"]
            assert {f"{stage}@{c}" for stage in ("train", "evaluate") for c in CATEGORIES} <= lock.keys()


def test_a_missing_driver_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND, "sqlite:///a.db")
    monkeypatch.delenv(PREFECT_BACKEND, raising=False)
    require_drivers()
    monkeypatch.setattr("pipelines.orchestration.service_settings.find_spec", lambda _: None)
    require_drivers()
    monkeypatch.setenv(BACKEND, "postgresql+psycopg2://secret@db/mlflow")
    with pytest.raises(Failed, match=r"names PostgreSQL, whose driver psycopg2 is not installed: ") as caught:
        require_drivers()
    assert "secret" not in str(caught.value)
