"""Two workers in clones of their own share six categories; one dies in the middle; the coordinator gets them all.

Takes about ten minutes on two cores: FASTFLOW_FULL=1 python -m pytest -m slow tests/orchestration/test_machines.py
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.core.stage import Failed
from pipelines.orchestration import machines
from pipelines.orchestration.machines import refuse_changes, refuse_epochs
from tests.conftest import FULL, ROOT, free_port, write_plates
from tests.data.test_data_tracking import change
from tests.orchestration.test_services import asking, settings_of, until
from tests.stages import write_tiny_params
from tests.test_pipeline import change_params, dvc, run

CATEGORIES = [f"part{i}" for i in range(6)]


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Path]:
    with coordinating(tmp_path, CATEGORIES) as folder:
        yield folder


@contextmanager
def coordinating(tmp_path: Path, categories: Sequence[str]) -> Iterator[Path]:
    """A project with committed code, images in DVC's remote, and its services up."""
    folder = tmp_path / "coordinator"
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", "prefect.yaml"):
        shutil.copy(ROOT / name, folder)
    with (folder / ".gitignore").open("a") as ignored:  # as `dvc init` of a person has it in a folder of its own
        ignored.write("/.dvc/site-cache/\n")
    write_tiny_params(folder, epochs=1)
    change_params(folder, data={"root": "images", "categories": list(categories)}, demo_categories=[])
    change(folder, "retrain", where="pool")
    run(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    dvc(folder, "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    for i, category in enumerate(categories):
        write_plates(folder / "images" / category, num_train=4 + i, num_test=2)
        dvc(folder, "add", "-q", f"images/{category}")
    dvc(folder, "push", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "start")
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    run(folder, sys.executable, "-m", "pipelines.cli.operations", "up", *ports)
    try:
        yield folder
    finally:
        print((folder / ".state/services/worker.log").read_text()[-5000:])
        run(folder, sys.executable, "-m", "pipelines.cli.operations", "down")


def start_worker(coordinator: Path, clone: Path) -> subprocess.Popen[bytes]:
    """As `make worker` does on another machine, with a quicker heartbeat."""
    run(coordinator.parent, "git", "clone", "-q", str(coordinator), str(clone))
    own = {
        "FASTFLOW_PROJECT": str(clone),
        "PREFECT_HOME": str(clone / ".prefect"),
        "DVC_SITE_CACHE_DIR": str(clone / ".dvc/site-cache"),
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "3",
        "PYTHONPATH": str(clone),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "machines", "--limit", "1"]
    with (clone / "worker.log").open("wb") as said:
        return subprocess.Popen(
            [*command, "--name", clone.name],
            cwd=clone,
            env=os.environ | settings_of(coordinator) | own,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def lose_power(clone: Path) -> None:
    """Every process of that machine ends at once."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("FASTFLOW_PROJECT") == str(clone):
                process.kill()
        except psutil.Error:
            continue


@contextmanager
def two_workers(coordinator: Path, folder: Path) -> Iterator[Path]:
    """Workers in the clones `first` and `second`; gives the first one's."""
    clones = [folder / "first", folder / "second"]
    workers = [start_worker(coordinator, clone) for clone in clones]
    try:
        yield clones[0]
    finally:
        for clone in clones:
            print((clone / "worker.log").read_text()[-3000:])
            lose_power(clone)
        for worker in workers:
            worker.wait(120)


def taken(ask: Callable[..., Any], name: str, *states: str) -> list[Any]:
    return [r for r in ask("runs") if f"worker:{name}" in r[5] and r[2] in states]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not FULL, reason="takes ten minutes; FASTFLOW_FULL=1 runs it")
def test_two_workers_share_six_categories_and_one_of_them_dies(coordinator: Path, tmp_path: Path) -> None:
    ask = asking(coordinator)
    with two_workers(coordinator, tmp_path) as first:
        whole = ask("run", "retrain-all/nightly", "{}")
        until(lambda: taken(ask, "first", "Running"), 400)
        time.sleep(5)  # in the middle of a stage
        lose_power(first)
        until(lambda: [r for r in ask("runs") if r[0] == whole and r[2] not in ("Pending", "Running")], 2000)
        runs = {r[0]: r for r in ask("runs")}
        assert runs[whole][2:4] == ["Completed", ", ".join(f"{c} restored" for c in CATEGORIES)]
        assert [r[3] for r in taken(ask, "first", "Crashed")] == ["its worker is gone"]
        assert len(taken(ask, "second", "Completed")) + len(taken(ask, "first", "Completed")) == 6
        assert "up to date" in dvc(coordinator, "status")
        assert not re.search(r"Running stage '\w+@", (coordinator / ".state/services/worker.log").read_text())
        for category in CATEGORIES:
            assert json.loads((coordinator / f"reports/{category}/gate.json").read_text())["verdict"] == "promoted"


def test_a_clone_with_changes_of_its_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reports/bolt").mkdir(parents=True)
    for name in ("params.yaml", "dvc.lock", "reports/bolt/gate.json"):
        (tmp_path / name).write_text("a: 1\n")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "git", "add", "-A")
    run(tmp_path, "git", "commit", "-qm", "start")
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.lock", "reports/bolt/gate.json"):
        (tmp_path / name).write_text("a: 2\n")
    (tmp_path / "untracked").write_text("x")
    refuse_changes()
    (tmp_path / "params.yaml").write_text("a: 2\n")
    with pytest.raises(Failed, match=r"^params\.yaml: changed, and in no commit"):
        refuse_changes()
    with pytest.raises(Failed, match="git rev-parse nothing: fatal"):
        machines.git("rev-parse", "nothing")


def test_other_machines_take_no_epochs_but_the_committed_ones() -> None:
    refuse_epochs(None, 4)
    refuse_epochs(4, 4)
    with pytest.raises(Failed, match=r"train\.epochs is null there, not 4; change it, commit and push"):
        refuse_epochs(4, None)


def test_however_many_categories_wait_the_server_is_asked_a_few_times_a_second() -> None:
    assert machines.poll_seconds(1) == machines.poll_seconds(6) == 3
    assert all(count / machines.poll_seconds(count) <= 5 for count in (1, 15, 16, 1000))


def test_the_kubernetes_template_uses_what_it_asks_for() -> None:
    template = json.loads((ROOT / "pipelines/orchestration/pools/kubernetes.json").read_text())
    asked = template["variables"]["properties"]
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == asked.keys()
    assert set(template["variables"]["required"]) == {
        name for name in used - {"labels"} if "default" not in asked[name]
    }
    folder = asked["env"]["default"]["FASTFLOW_PROJECT"]
    image = (ROOT / "pipelines/orchestration/pools/Dockerfile").read_text()
    assert f"WORKDIR {folder}\n" in image
    assert asked["command"]["default"].startswith(f"{folder}/.venv/bin/prefect ")
