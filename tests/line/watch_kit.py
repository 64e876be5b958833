"""The line's loop in this process, on a real folder, with the server's batches and a model of these tests."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastflow.detector import Images, Scores, Sizes
from fastflow.regions import RegionRule
from pipelines.line import watcher as module
from pipelines.line.arrivals import Arrivals
from pipelines.line.instruments import Instruments
from pipelines.line.judge import Judge
from pipelines.line.sight import Sight
from pipelines.line.spool import Spool
from pipelines.line.state import State, opened, state_file
from pipelines.line.watcher import Watcher
from pipelines.review.keep import Keeper
from pipelines.review.rule import Rule
from pipelines.scoring.production import Production
from pipelines.serving.batching import Batcher
from pipelines.serving.models import Models
from tests.serving.kit import DecodersHere
from tests.serving.test_batching import SIZE, HeldDetector

FOLDER = Path("in")


class Spotted(HeldDetector):
    """Of bright pictures, two rows are anomalous, and two pixels apart from them."""

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        found = super().predict(images, sizes)
        found.anomaly_map[found.pred_label == 1, :, 5:7, :] = 2
        found.anomaly_map[found.pred_label == 1, :, 0, 3:5] = 3
        return found


@pytest.fixture
def detector() -> Spotted:
    found = Spotted()
    found.go.set()
    return found


@pytest.fixture
def base(folder: Path) -> Iterator[sqlite3.Connection]:
    FOLDER.mkdir()
    with opened(state_file("plates")) as base:
        yield base


@pytest.fixture
def start(
    base: sqlite3.Connection, detector: Spotted, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Watcher]]:
    """Makes a watcher, as a start of the program does."""
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    made: list[Watcher] = []

    def watcher() -> Watcher:
        models = Models.__new__(Models)
        models.detectors, models.failures = {"plates": detector}, {}
        state = State(base, ["out"])
        arrivals = Arrivals(FOLDER, state.known, settle=0.05)
        judge = Judge(
            models, Batcher(batch_size=4, max_waiting=16), DecodersHere(max_pixels=10_000),
            rule=RegionRule(min_area=3, mm_per_pixel=0.5), production=Production("plates", "line"), knows=state.knows,
            keeper=Keeper("plates", Rule()),
        )  # fmt: skip
        sight = Sight(arrivals, poll=False)
        state.start({})
        made.append(Watcher("press-7", "plates", state, arrivals, sight, judge, [], Instruments("plates")))
        return made[-1]

    monkeypatch.setattr(DecodersHere, "end", lambda self: None)
    yield watcher
    for one in made:
        one.sight.end()
        one.judge.end()


def picture(name: str, value: int) -> Path:
    Image.fromarray(np.full((SIZE, SIZE, 3), value, np.uint8)).save(FOLDER / name)
    return FOLDER / name


def messages(watcher: Watcher, count: int) -> list[dict[str, Any]]:
    """Of all pictures so far, once they are so many; and a little later there are no more."""
    end = time.monotonic() + 30
    spool = Spool(watcher.state.base, "out")
    while len(spool.next(99)) < count:
        assert time.monotonic() < end, spool.next(99)
        watcher.step()
        time.sleep(0.01)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        watcher.step()
    assert len(spool.next(99)) == count
    return spool.next(99)
