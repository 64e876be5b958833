"""Prefect's server, MLflow's server and a worker as `make up` starts them: scheduled, overlapping and killed runs."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from pipelines.orchestration.service_settings import read_environment
from pipelines.orchestration.services import recorded
from tests.conftest import FULL, ROOT, free_port
from tests.test_pipeline import CATEGORIES, dvc, run
from tests.test_pipeline import project as project  # the fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not FULL, reason="takes seven minutes; FASTFLOW_FULL=1 runs it"),
]
ASK = """
import json, sys
from uuid import UUID
from prefect.client.orchestration import get_client
from prefect.states import Cancelling
with get_client(sync_client=True) as client:
    if sys.argv[1] == "cancel":
        client.set_flow_run_state(UUID(sys.argv[2]), Cancelling())
    elif sys.argv[1] == "runs":
        found = [r for r in client.read_flow_runs(limit=200) if r.state_name != "Scheduled"]
        rows = [[str(r.id), r.name, r.state_name, r.state.message or "", r.auto_scheduled, r.tags] for r in found]
        print(json.dumps(rows))
    elif sys.argv[1] == "artifacts":
        print(json.dumps([[a.key, a.type, str(a.data)] for a in client.read_artifacts(limit=200)]))
    else:
        deployment = client.read_deployment_by_name(sys.argv[2])
        if sys.argv[1] == "choices":
            print(json.dumps(deployment.parameter_openapi_schema["properties"]["category"]["enum"]))
        elif sys.argv[1] == "pause":
            client.pause_deployment(deployment.id)
        else:
            made = client.create_flow_run_from_deployment(deployment.id, parameters=json.loads(sys.argv[3]))
            print(json.dumps(str(made.id)))
"""


@pytest.fixture(scope="module")
def services(project: Path) -> Iterator[tuple[Path, Callable[..., Any]]]:
    """The project with its services up, its night every minute, and a function that asks Prefect."""
    shutil.copy(ROOT / "prefect.yaml", project)
    plan = yaml.safe_load((project / "prefect.yaml").read_text())
    plan["deployments"][0]["schedules"][0]["cron"] = "* * * * *"
    (project / "prefect.yaml").write_text(yaml.safe_dump(plan))
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    run(project, sys.executable, "-m", "pipelines.cli.operations", "up", *ports)
    try:
        yield project, asking(project)
    finally:
        print((project / ".state/services/worker.log").read_text()[-5000:])
        run(project, sys.executable, "-m", "pipelines.cli.operations", "down")


def asking(project: Path) -> Callable[..., Any]:
    """A function that asks the project's Prefect server."""
    environment = os.environ | settings_of(project)

    def ask(*arguments: str) -> Any:
        done = subprocess.run([sys.executable, "-c", ASK, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout or "null")

    return ask


def settings_of(project: Path) -> dict[str, str]:
    with chdir(project):
        return read_environment()


def services_of(project: Path) -> dict[str, int]:
    with chdir(project):
        return {service.name: service.pid for service in recorded() if service.alive()}


def until(what: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(1)
    raise AssertionError(f"not within {seconds} s")


def ended(ask: Callable[..., Any], *ids: str) -> dict[str, tuple[str, str]] | None:
    """State and message by id, once all of them have ended."""
    found = {i: (state, message) for i, _, state, message, *_ in ask("runs") if i in ids}
    over = {"Completed", "Failed", "Crashed", "Cancelled"}
    return found if len(found) == len(ids) and all(state in over for state, _ in found.values()) else None


def test_a_scheduled_run_trains_registers_and_shows(services: tuple[Path, Callable[..., Any]]) -> None:
    project, ask = services

    def scheduled() -> Any:
        return [r for r in ask("runs") if r[4] and r[2] in ("Completed", "Failed", "Crashed")]

    until(scheduled, 400)
    ask("pause", "retrain-all/nightly")
    ended_as = [state[2:4] for state in scheduled()]
    trained = "; ".join(f"{c} trained, promoted" for c in CATEGORIES)
    assert ["Completed", trained] in ended_as, ended_as
    assert all(state == "Completed" for state, _ in ended_as)  # those that were queued meanwhile find nothing to do
    with closing(sqlite3.connect(project / ".mlflow/mlflow.db")) as store:
        runs = store.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        champions = store.execute("SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'")
        assert sorted(champions.fetchall()) == [(f"fastflow-{c}", 1) for c in CATEGORIES]
    assert sorted(name.split()[0] for name, _ in runs if "retraining" not in name) == sorted(CATEGORIES)
    assert {status for name, status in runs if "retraining" not in name} == {"FINISHED"}
    shown = {key: (kind, data) for key, kind, data in ask("artifacts") if key}
    assert {"results", "summary", "retraining"} <= shown.keys()
    assert shown["training-plates"][0] == "progress"
    for category in CATEGORIES:
        link = f"{settings_of(project)['MLFLOW_TRACKING_URI']}/#/experiments/1/runs/"
        assert link in shown[f"mlflow-{category}"][1]
        kind, picture = shown[f"picture-{category}"]
        assert kind == "image"
        assert httpx.get(picture).content.startswith(b"RIFF")  # a WebP
    links = re.findall(r"http[^)\s]+/#/[^)\s]+", shown["summary"][1])
    assert len(links) == 2 * len(CATEGORIES)
    for link in links:
        assert_opens(link)
    assert "up to date" in dvc(project, "status")


def assert_opens(link: str) -> None:
    """MLflow's page asks for what stands behind its `#`: an experiment's run, perhaps one of its artifacts."""
    server, _, page = link.partition("/#/experiments/")
    experiment, _, rest = page.partition("/runs/")
    run_id, _, artifact = rest.partition("/artifacts/")
    api = f"{server}/api/2.0/mlflow"
    found = httpx.get(f"{api}/runs/get", params={"run_id": run_id}).raise_for_status().json()["run"]
    assert found["info"]["experiment_id"] == experiment
    if artifact:
        asked = {"run_id": run_id, "path": artifact.rpartition("/")[0]}
        files = httpx.get(f"{api}/artifacts/list", params=asked).raise_for_status().json()["files"]
        assert artifact in {file["path"] for file in files}


def test_of_three_at_once_each_has_its_turn_and_two_are_shown_as_queued(
    services: tuple[Path, Callable[..., Any]],
) -> None:
    _, ask = services
    forced = json.dumps({"categories": ["plates"], "force": True})
    wrong = ask("run", "retrain-all/nightly", '{"categories": ["plate"]}')
    ids = [ask("run", "retrain-all/nightly", forced) for _ in range(3)]

    def queued() -> bool:
        return len([i for i, _, state, *_ in ask("runs") if i in ids and state == "Queued"]) >= 2

    until(queued, 120)
    assert until(lambda: ended(ask, wrong), 60)[wrong] == (
        "Failed",
        "no category 'plate' in params.yaml (data.categories), which has plates, tiles; did you mean 'plates'?",
    )  # fmt: skip
    states = until(lambda: ended(ask, *ids), 600).values()
    assert [state for state, _ in states] == ["Completed"] * 3
    assert all(message.startswith("plates trained") for _, message in states)
    assert {name.partition(",")[0] for i, name, *_ in ask("runs") if i in ids} == {"plates: trained"}
    assert ask("choices", "retrain/on-demand") == CATEGORIES


def test_a_cancelled_run_ends_as_cancelled_wherever_it_was(services: tuple[Path, Callable[..., Any]]) -> None:
    """One while it trains, and one that is queued behind it."""
    project, ask = services
    lock, log = project / ".state/retraining.lock", project / ".state/services/worker.log"
    start = log.stat().st_size
    training, queued = (ask("run", "retrain/on-demand", '{"category": "tiles"}') for _ in range(2))

    def stage() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if "pipelines.train" in (p.info["cmdline"] or [])]

    def is_queued() -> list[str]:
        return [i for i, _, state, *_ in ask("runs") if i in (training, queued) and state == "Queued"]

    (waiting,) = until(is_queued, 120)
    (running,) = {training, queued} - {waiting}
    until(stage, 120)
    ask("cancel", waiting)
    assert until(lambda: ended(ask, waiting), 120)[waiting][0] == "Cancelled"
    assert lock.read_text()
    ask("cancel", running)
    assert until(lambda: ended(ask, running), 120)[running][0] == "Cancelled"
    assert stage() == []
    assert lock.read_text() == ""
    assert "Traceback" not in (said := log.read_text()[start:]), said
    following = ask("run", "retrain-all/nightly", "{}")
    assert until(lambda: ended(ask, following), 300)[following][0] == "Completed"


def test_after_a_kill_the_next_one_goes_on_and_the_dead_one_is_closed(
    services: tuple[Path, Callable[..., Any]],
) -> None:
    project, ask = services
    lock = project / ".state/retraining.lock"
    dead = ask("run", "retrain/on-demand", '{"category": "tiles"}')
    holder = until(lambda: lock.read_text() and json.loads(lock.read_text())["pid"], 120)
    os.kill(services_of(project)["worker"], signal.SIGKILL)
    os.kill(holder, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(holder) or psutil.Process(holder).status() == psutil.STATUS_ZOMBIE, 20)
    run(project, sys.executable, "-m", "pipelines.cli.operations", "up")
    following = ask("run", "retrain-all/nightly", "{}")
    states = until(lambda: ended(ask, dead, following), 300)
    assert states[dead] == ("Crashed", "its process died")
    assert states[following][0] == "Completed"
    assert "up to date" in dvc(project, "status")


def test_strangers_are_turned_away_and_down_ends_exactly_what_was_started(
    services: tuple[Path, Callable[..., Any]],
) -> None:
    project, _ = services
    settings, running = settings_of(project), services_of(project)
    curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
    assert run(project, *curl, f"{settings['PREFECT_API_URL']}/admin/settings").startswith("401")
    host = ["-H", "Host: evil.example"]
    assert run(project, *curl, *host, settings["MLFLOW_TRACKING_URI"]).startswith("403")
    assert (project / ".state/services.env").stat().st_mode & 0o777 == 0o600
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    run(project, sys.executable, "-m", "pipelines.cli.operations", "down")
    assert running.keys() == {"prefect", "mlflow", "worker"}
    assert services_of(project) == {}
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait(120)
    for address in (settings["PREFECT_API_URL"], settings["MLFLOW_TRACKING_URI"]):
        assert "exit code 7" in run(project, *curl, address, check=False)  # connection refused
