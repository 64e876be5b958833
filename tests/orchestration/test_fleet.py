"""fleet.html from real stores and servers, and from those that are away."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pipelines.core.params import read_params
from pipelines.core.params_edit import write_values
from pipelines.orchestration import fleet, open_requests
from pipelines.orchestration.flow_artifacts import Result, log_night
from pipelines.registry import store
from pipelines.registry.standing import standings
from pipelines.serving.project_pages import project_pages
from pipelines.tracking import runs
from pipelines.tracking.history import history, unsent_nights
from pipelines.tracking.sync import sync
from tests.conftest import ROOT, fastflow, free_port


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_values({"data.categories": ["cable", "bottle"]})
    return folder


def retraining(*results: Result, error: type[BaseException] | None = None) -> None:
    """As the flow logs one."""
    try:
        with runs.new_run("retraining", tags={"categories": "cable, bottle"}, live=False) as run:
            if error:
                raise error("the disk is gone")
            log_night(run, results)
    except (RuntimeError, KeyboardInterrupt):
        pass


def test_a_night_that_was_not_sent_is_known_and_one_that_died_too(project: Path) -> None:
    decision = {"verdict": "inconclusive"}
    retraining(Result("cable", "trained", "aupro: unclear", 1.0, decision), Result("bottle", "failed", "no masks"))
    retraining(error=RuntimeError)
    retraining(error=KeyboardInterrupt)
    nights = unsent_nights()
    assert [(night.status, list(night.categories)) for night in nights] == [
        ("FINISHED", ["cable", "bottle"]), ("FAILED", ["cable", "bottle"]), ("KILLED", ["cable", "bottle"]),
    ]  # fmt: skip
    assert nights[0].results["cable"] == {
        "category": "cable", "outcome": "trained", "verdict": "inconclusive", "reason": "aupro: unclear",
    }  # fmt: skip
    assert (nights[0].results["bottle"]["reason"], nights[1].results) == ("no masks", {})
    with runs.new_run("retraining", tags={"categories": "cable"}, live=False):
        assert len(unsent_nights()) == 3  # one that still runs has no end


def test_requests_are_what_was_asked_for_and_not_what_the_schedule_will_ask() -> None:
    now = datetime.now(UTC)

    def run(name: str, hours: float, *, auto: bool = False, **parameters: object) -> Any:
        start = now + timedelta(hours=hours)
        return SimpleNamespace(
            id=f"{name}{hours}", state_name=name.title(), state_type=name.upper(), parameters=parameters,
            start_time=start if name == "running" else None, expected_start_time=start, auto_scheduled=auto,
        )  # fmt: skip

    asked = [
        run("running", -1, categories=["cable", "bottle"]), run("scheduled", 5, auto=True, categories=None),
        run("scheduled", 5, category="cable"), run("pending", -0.1, category="own"),
        run("running", -2, categories=None),
    ]  # fmt: skip
    found = open_requests._sorted(asked, ["pending-0.1"])
    assert set(found.by_category) == {"cable", "bottle"}
    assert [words.split()[0] for words in found.by_category["cable"]] == ["running", "scheduled"]
    assert [words.split()[0] for words in found.of_all] == ["running"]


def test_servers_that_are_away_cost_their_part_of_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = f"http://someone:secret@127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    monkeypatch.setenv("PREFECT_API_URL", f"{away}/api")
    retraining(Result("cable", "failed", "no masks"), Result("bottle", "trained", ""))
    start = time.monotonic()
    assert fastflow("fleet") == 0
    assert time.monotonic() - start < 30
    text = Path("fleet.html").read_text()
    for words in ("Champions, nights and figures are unknown", "Open requests are unknown", "no masks"):
        assert words in text
    assert "secret" not in text
    assert "no model yet" not in text


@pytest.mark.slow
def test_servers_that_never_answer_cost_a_bounded_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # 20 as shipped
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        start = time.monotonic()
        fleet.write_fleet(read_params())
        assert time.monotonic() - start < 60
    assert Path("fleet.html").read_text().count("are unknown") == 2


@pytest.mark.slow
def test_a_real_store_tells_champions_nights_and_figures(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retraining(Result("cable", "trained", "", 1.0, {"verdict": "promoted"}), Result("bottle", "failed", "no masks"))
    for name, misses in (("cable", 3.0), ("bottle", float("nan"))):
        with runs.new_run(f"{name} evaluated", tags={"category": name}) as run:
            run.log_metrics({"misses": misses, "num_defective": 24, "false_rejects": 1, "num_good": 60})
    with runs.new_run("cable drift", tags={"category": "cable", "drift": "camera"}) as run:
        run.set_tags({"mlflow.note.content": "darker"})
    sync()
    client = store.connect()
    client.create_registered_model("fastflow-cable")
    for number in ("1", "2"):
        client.create_model_version("fastflow-cable", f"runs:/x/{number}", tags={"gate": "inconclusive"})
    client.set_registered_model_alias("fastflow-cable", "champion", "1")
    client.set_registered_model_alias("fastflow-cable", "challenger", "2")
    found = standings(client)
    assert {
        name: (s.champion and s.champion.number, s.challenger and s.challenger.number) for name, s in found.items()
    } == {"cable": ("1", "2")}
    past = history(client, since=time.time() - 86400)
    assert unsent_nights() == []
    assert past.nights[0].results["bottle"]["reason"] == "no masks"
    assert [(e.misses, e.false_rejects) for e in past.evaluations["cable"]] == [((3, 24), (1, 60))]
    assert [(e.misses, e.false_rejects) for e in past.evaluations["bottle"]] == [(None, (1, 60))]
    assert [check.sentence for check in past.checks["cable"]] == ["darker"]
    assert fastflow("fleet") == 0
    text = Path("fleet.html").read_text()
    for words in ("no masks", "darker", "3 of 24", "1 of 60", "version 1", "promote cable --version 2"):
        assert words in text


@pytest.mark.slow
def test_a_hundred_categories_of_a_real_store_take_seconds(project: Path) -> None:
    from mlflow.entities import Metric, Param

    names = [f"part_{number:03}" for number in range(100)]
    write_values({"data.categories": names})
    client = store.connect()
    experiment, now = store.experiment_id(client), int(1000 * time.time())
    for number, name in enumerate(names):
        client.create_registered_model(f"fastflow-{name}")
        for back in range(2):
            run = client.create_run(experiment, start_time=now - 86_400_000 * back, tags={"category": name})
            counts = {"misses": number % 9, "num_defective": 24, "false_rejects": back, "num_good": 60}
            metrics = [Metric(key, float(value), now, 0) for key, value in counts.items()]
            client.log_batch(run.info.run_id, metrics, [Param(f"p{i}", "1") for i in range(40)])
        client.create_model_version(f"fastflow-{name}", "runs:/x", run_id=run.info.run_id)
        client.set_registered_model_alias(f"fastflow-{name}", "champion", "1")
    start = time.monotonic()
    fleet.write_fleet(read_params())
    assert time.monotonic() - start < 60  # 5 s on two idle cores
    assert Path("fleet.html").read_text().count("version 1") == 100


def test_the_server_shows_the_projects_pages_and_no_other_file(folder: Path) -> None:
    (folder / "drift").mkdir()
    (folder / "drift/cable.html").write_text("drift of cable")
    (folder / "secret.html").write_text("secret")
    app = FastAPI()
    app.include_router(project_pages)
    with TestClient(app) as client:
        page = client.get("/drift/cable.html")
        assert (page.status_code, page.text) == (200, "drift of cable")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "it is written by: fastflow fleet" in client.get("/fleet.html").text
        for place in ("/drift/..%2Fsecret.html", "/drift/%2e%2e%2fsecret.html", "/secret.html", "/production/.html"):
            assert client.get(place).status_code == 404, place
        (folder / "fleet.html").write_text("fleet")
        assert client.get("/fleet.html").text == "fleet"
