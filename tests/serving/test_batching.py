"""The scoring service's queue, and its answers when that is full or slow, with a model that this test holds up."""

import io
import threading
from concurrent.futures import Future
from typing import ClassVar, cast

import numpy as np
import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from PIL import Image

from fastflow.detector import Images, Scores, Sizes
from fastflow.frame import Frame, Framed
from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher, QueueFull
from pipelines.serving.instruments import Instruments
from pipelines.serving.models import Models
from pipelines.serving.verdicts import Limits, Verdicts
from tests.serving.kit import DecodersHere

SIZE = 8


class HeldDetector:
    """A detector that scores an image by its first pixel, once it is let go; `batches` are the sizes it was given."""

    category, version, frame = "plates", "1", Frame(SIZE, SIZE)
    threshold: ClassVar = {"image": 5, "low": 0, "pixel": 1}

    def __init__(self) -> None:
        self.go, self.begun, self.batches = threading.Event(), threading.Event(), list[int]()

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        self.begun.set()
        assert self.go.wait(30)
        self.batches.append(len(images))
        score = images[:, 0, 0, 0].astype(np.float32)
        return Scores(score, (score > 5).astype(np.int64), np.zeros((len(images), 1, SIZE, SIZE), np.float32))


def pixels(value: int) -> Framed:
    return Framed(np.full((SIZE, SIZE, 3), value, np.uint8), (SIZE, SIZE), (SIZE, SIZE))


def test_images_that_wait_together_are_scored_together_each_by_its_own_model() -> None:
    old, new = HeldDetector(), HeldDetector()
    batcher = Batcher(batch_size=4, max_waiting=20)
    answers = [batcher.submit(pixels(0), old)]
    assert old.begun.wait(30)
    answers += [batcher.submit(pixels(i), old) for i in range(1, 7)]
    answers += [batcher.submit(pixels(i), new) for i in range(7, 9)]
    old.go.set()
    new.go.set()
    assert [one.result(30).pred_score for one in answers] == list(range(9))
    assert [one.result().pred_label for one in answers] == [0] * 6 + [1] * 3
    assert (old.batches, new.batches) == ([1, 4, 2], [2])
    batcher.end()


def test_a_full_queue_refuses_and_what_is_cancelled_costs_nothing() -> None:
    held = HeldDetector()
    batcher = Batcher(batch_size=1, max_waiting=2)
    answers: list[Future[object]] = [cast(Future[object], batcher.submit(pixels(0), held))]
    assert held.begun.wait(30)
    answers += [cast(Future[object], batcher.submit(pixels(0), held)) for _ in range(2)]
    with pytest.raises(QueueFull, match="2 images wait already"):
        batcher.submit(pixels(0), held)
    assert answers[1].cancel()
    held.go.set()
    batcher.end()
    assert held.batches == [1, 1]


def test_a_model_that_fails_fails_its_images_alone() -> None:
    class Broken(HeldDetector):
        def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
            raise RuntimeError("no memory")

    held = HeldDetector()
    held.go.set()
    batcher = Batcher(batch_size=4, max_waiting=20)
    lost = batcher.submit(pixels(0), Broken())
    assert isinstance(lost.exception(30), RuntimeError)
    assert batcher.submit(pixels(3), held).result(30).pred_score == 3
    batcher.end()


def client_of(held: HeldDetector, *, seconds: float, at_once: int) -> TestClient:
    models = Models.__new__(Models)
    models.detectors, models.failures = {"plates": held}, {}
    limits = Limits(max_bytes=10_000, max_pixels=10_000, seconds=seconds, at_once=at_once)
    batcher, decoders = Batcher(batch_size=1, max_waiting=at_once), DecodersHere(max_pixels=limits.max_pixels)
    return TestClient(build_app(models, batcher, decoders, limits=limits))


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(3).pixels).save(file, "PNG")
    return file.getvalue()


def test_a_request_that_takes_too_long_is_answered_504() -> None:
    held = HeldDetector()
    with client_of(held, seconds=0.2, at_once=4) as client:
        answer = client.post("/score", content=png())
        assert (answer.status_code, answer.json()["detail"]) == (504, "no answer within 0.2 s; try again later")
        held.go.set()


def test_requests_beyond_those_under_way_are_answered_429() -> None:
    held = HeldDetector()
    with client_of(held, seconds=30, at_once=1) as client:
        found: list[int] = []
        waiting = threading.Thread(target=lambda: found.append(client.post("/score", content=png()).status_code))
        waiting.start()
        assert held.begun.wait(30)
        answer = client.post("/score", content=png())
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        held.go.set()
        waiting.join(120)
        assert found == [200]


def test_bodies_that_arrive_hold_so_many_bytes_together_and_give_them_back() -> None:
    limits = Limits(max_bytes=10, max_pixels=100, seconds=1, at_once=2)
    models, batcher = Models.__new__(Models), Batcher(batch_size=1, max_waiting=1)
    verdicts = Verdicts(models, batcher, DecodersHere(max_pixels=100), limits, Instruments(), None)
    with verdicts._held() as one:
        one(10)
        with verdicts._held() as other:
            other(10)
            with pytest.raises(HTTPException) as refused:
                one(1)
            assert (refused.value.status_code, verdicts.held_bytes) == (429, 20)
        one(10)
    assert verdicts.held_bytes == 0
    batcher.end()
