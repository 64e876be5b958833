"""The routes around /score: what each answers, with which headers, and what Prometheus reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.models import Models
from pipelines.serving.verdicts import Limits
from tests.conftest import ROOT
from tests.serving.kit import DecodersHere
from tests.serving.test_batching import HeldDetector, png

SERVING = ROOT / "pipelines/serving"


@pytest.fixture
def models() -> Models:
    held = HeldDetector()
    held.go.set()
    made = Models.__new__(Models)
    made.detectors, made.failures = {"plates": held, "gears": held}, {"gears": "version 4 cannot be opened"}
    return made


@pytest.fixture
def client(models: Models) -> Iterator[TestClient]:
    limits = Limits(max_bytes=10_000, max_pixels=10_000, seconds=30, at_once=4)
    batcher = Batcher(batch_size=1, max_waiting=4)
    with TestClient(build_app(models, batcher, DecodersHere(max_pixels=10_000), limits=limits)) as client:
        yield client
    batcher.end()


def test_a_server_says_that_it_lives_and_what_it_serves(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {
        "status": "ready", "categories": ["plates", "gears"], "not_replaced": {"gears": "version 4 cannot be opened"},
    }  # fmt: skip
    assert client.get("/version").json() == {"plates": "1", "gears": "1"}


@pytest.mark.parametrize(
    ("path", "file", "kind"),
    [
        ("/", "page.html", "text/html; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "page.css", "text/css; charset=utf-8"),
    ],
)
def test_the_page_is_served_as_it_is_written(client: TestClient, path: str, file: str, kind: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.content == (SERVING / file).read_bytes()
    assert answer.headers["Content-Type"] == kind
    assert path not in client.get("/openapi.json").json()["paths"]


def test_a_browser_runs_nothing_but_the_pages_own_script(client: TestClient) -> None:
    for path in ("/", "/healthz", "/nowhere"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_pages_of_other_hosts_scripts_are_not_offered(client: TestClient) -> None:
    """FastAPI's own pages of the interface load scripts from elsewhere."""
    assert [client.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]
    described = client.get("/openapi.json").json()
    assert described["info"]["title"] == "FastFlow"
    assert described["info"]["description"].startswith("The scoring service")
    score = described["paths"]["/score"]["post"]
    assert list(score["requestBody"]["content"]) == ["application/octet-stream"]
    assert score["requestBody"]["required"] is True
    assert {"400", "401", "404", "413", "415", "429", "500", "504"} <= set(score["responses"])


def test_prometheus_reads_counts_and_the_models_of_now(client: TestClient, models: Models) -> None:
    assert client.post("/score?category=plates", content=png()).status_code == 200
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert 'fastflow_model{category="plates",version="1"} 1.0' in lines
    assert 'fastflow_verdicts_total{category="plates",pred_label="0"} 1.0' in lines
    assert "fastflow_waiting 0.0" in lines
    del models.detectors["plates"]
    lines = client.get("/metrics").text.splitlines()
    assert [line for line in lines if line.startswith("fastflow_model{")] == [
        'fastflow_model{category="gears",version="1"} 1.0'
    ]


def test_images_that_wait_are_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batcher, "waiting", lambda _: 3)
    assert "fastflow_waiting 3.0" in client.get("/metrics").text.splitlines()


def test_each_app_counts_for_itself(models: Models, folder: Path) -> None:
    limits, batcher = Limits(1, 1, 1, at_once=1), Batcher(batch_size=1, max_waiting=1)
    for _ in range(2):
        with TestClient(build_app(models, batcher, DecodersHere(max_pixels=1), limits=limits)) as client:
            assert client.get("/metrics").text.count("# HELP fastflow_waiting ") == 1
    batcher.end()
