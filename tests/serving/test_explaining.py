"""`/why`: what the server says of a score, by a real process, and when it refuses to."""

import base64
import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipelines.serving import explaining
from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.models import Models, Source
from pipelines.serving.verdicts import Limits
from tests.qualification.kit import write_project
from tests.serving.kit import DecodersHere, plate
from tests.serving.test_batching import HeldDetector


def models_of(source: Source, version: str) -> Models:
    made = Models.__new__(Models)
    held = HeldDetector()
    held.go.set()
    made.sources, made.versions, made.detectors, made.failures = [source], {"plates": version}, {"plates": held}, {}
    return made


@pytest.fixture
def client(folder: Path, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    models = models_of(*getattr(request, "param", (Source("plates", "models/plates"), "models/plates")))
    limits = Limits(max_bytes=50_000, max_pixels=10_000, seconds=30, at_once=4)
    batcher = Batcher(batch_size=1, max_waiting=4)
    with TestClient(build_app(models, batcher, DecodersHere(max_pixels=10_000), limits=limits)) as client:
        yield client
    batcher.end()


def test_which_checkpoint_a_served_model_is_of(tmp_path: Path) -> None:
    alias = Source("plates", "models:/fastflow-plates@champion")
    assert models_of(alias, "7").checkpoint("plates") == "models:/fastflow-plates/7"
    version = Source("plates", "models:/fastflow-plates/3")
    assert models_of(version, version.name).checkpoint("plates") == version.name
    (tmp_path / "export.json").write_text("{}")
    assert models_of(Source("plates", str(tmp_path)), str(tmp_path)).checkpoint("plates") is None


@pytest.mark.slow
def test_a_defect_is_explained_by_its_place_and_the_most_similar_good_picture(client: TestClient) -> None:
    write_project(Path.cwd())
    answer = client.post("/why", content=plate(3, defect=True))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["said"][0].startswith("It comes from x ")
    assert (Path("images/plates/train/good") / found["nearest"]).is_file()
    for name in ("place", "similar"):
        assert Image.open(io.BytesIO(base64.b64decode(found[name]))).format == "WEBP"


def test_a_server_outside_of_a_project_says_what_is_missing(client: TestClient) -> None:
    answer = client.post("/why", content=plate(3))
    assert answer.status_code == 409
    assert "params.yaml does not exist here" in answer.json()["detail"]


def test_what_is_no_image_reaches_no_other_process(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "explained", None)  # a call would end with 500
    assert client.post("/why", content=b"text").status_code == 415
    assert client.post("/why", content=b"").status_code == 400
    assert client.post("/why", content=b"x" * 50_001).status_code == 413
    assert client.post("/why?category=gears", content=plate(3)).status_code == 404


@pytest.mark.parametrize("client", [(Source("plates", "exported"), "exported")], indirect=True)
def test_an_export_is_not_explained(client: TestClient) -> None:
    Path("exported").mkdir()
    Path("exported/export.json").write_text("{}")
    answer = client.post("/why", content=plate(3))
    assert (answer.status_code, "export" in answer.json()["detail"]) == (409, True)


def test_one_at_a_time_and_a_process_that_does_not_end_is_ended(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "hangs"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 300\n")
    program.chmod(0o755)
    monkeypatch.setattr("pipelines.serving.explaining.sys.executable", str(program))
    monkeypatch.setattr(explaining, "EXPLAINING_SECONDS", 2)
    statuses = []
    first = threading.Thread(target=lambda: statuses.append(client.post("/why", content=plate(3)).status_code))
    first.start()
    until_written = time.monotonic() + 20
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < until_written
        time.sleep(0.02)
    assert client.post("/why", content=plate(3)).status_code == 429
    first.join(20)
    assert statuses == [504]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
