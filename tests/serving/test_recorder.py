"""What is asked over HTTP is in the record of production, and only what got a verdict."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from fastapi.testclient import TestClient

from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.models import Models
from pipelines.serving.recorder import Recorder
from pipelines.serving.verdicts import Limits
from tests.serving.kit import DecodersHere
from tests.serving.test_batching import HeldDetector, png


def test_each_verdict_is_recorded(folder: Path) -> None:
    held, recorder = HeldDetector(), Recorder()
    held.go.set()
    models = Models.__new__(Models)
    models.detectors, models.failures = {"plates": held}, {}
    limits = Limits(max_bytes=10_000, max_pixels=10_000, seconds=30, at_once=4)
    batcher, decoders = Batcher(batch_size=1, max_waiting=4), DecodersHere(max_pixels=limits.max_pixels)
    app = build_app(models, batcher, decoders, limits=limits, recorder=recorder)
    with TestClient(app) as client:
        statuses = [client.post("/score", content=content).status_code for content in (png(), b"no image", png())]
    recorder.end()
    assert statuses == [200, 415, 200]
    with closing(sqlite3.connect("production/plates.db")) as base:
        found = base.execute("SELECT source, sha256, pred_score, pred_label, threshold, model FROM scores").fetchall()
    assert found == [("serve", hashlib.sha256(png()).hexdigest(), 3.0, 0, 5.0, "1")] * 2
