"""Pictures of a real folder through the line's loop, with the server's batches and a model of this test."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastflow.detector import Images, Scores, Sizes
from fastflow.regions import RegionRule
from pipelines.line import judge as judging
from pipelines.line import watcher as module
from pipelines.line.arrivals import Arrivals
from pipelines.line.instruments import Instruments
from pipelines.line.judge import Judge
from pipelines.line.sight import Sight
from pipelines.line.spool import Spool
from pipelines.line.state import State, opened, state_file
from pipelines.line.verdict import Picture
from pipelines.line.watcher import Watcher
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


def test_a_message_says_all_there_is_to_say(start: Callable[[], Watcher]) -> None:
    picture("a.png", 3)
    bad = picture("b.png", 9)
    good, rejected = messages(start(), 2)
    assert list(good) == list(rejected) == [
        "number", "idempotency_key", "station", "category", "path", "sha256", "model", "pred_score", "threshold",
        "pred_label", "regions", "largest_region", "milliseconds", "seconds", "judged", "error",
    ]  # fmt: skip
    said = {name: rejected[name] for name in ("number", "station", "category", "path", "model", "pred_score", "error")}
    assert said == {
        "number": 2, "station": "press-7", "category": "plates", "path": str(bad), "model": "1", "pred_score": 9,
        "error": None,
    }  # fmt: skip
    assert (good["pred_label"], good["regions"], good["largest_region"]) == (0, 0, None)
    assert (rejected["pred_label"], rejected["regions"], rejected["threshold"]) == (1, 1, 5)  # two pixels are too few
    largest = rejected["largest_region"]
    assert [largest[name] for name in ("x", "y", "width", "height", "area", "area_mm2")] == [0, 5, SIZE, 2, 16, 4]
    assert "polygon" not in largest
    assert rejected["milliseconds"] >= 0
    assert 0.05 <= rejected["seconds"] < 30


def test_each_is_also_in_the_record_of_production(start: Callable[[], Watcher]) -> None:
    picture("a.png", 3)
    (FOLDER / "no.png").write_bytes(b"no picture")
    first, _ = messages(start(), 2)
    with closing(sqlite3.connect("production/plates.db")) as base:
        found = base.execute("SELECT source, name, sha256, pred_score, threshold, model FROM scores").fetchall()
    assert found == [("line", "in/a.png", first["sha256"], 3, 5, "1")]


def test_no_picture_is_judged_twice_across_starts_and_changes_of_rights(
    start: Callable[[], Watcher], detector: Spotted
) -> None:
    path = picture("a.png", 3)
    messages(start(), 1)
    path.chmod(0o600)
    again = start()
    assert len(messages(again, 1)) == 1
    assert sum(detector.batches) == 1
    assert start().state.known["a.png"].ctime_ns == path.stat().st_ctime_ns
    picture("a.png", 4)  # a camera's ring
    assert [one["pred_score"] for one in messages(again, 2)] == [3, 4]


def test_what_is_no_picture_is_tried_twice_and_recorded_once_with_its_reason(
    start: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    read = judging.read_whole

    def note(one: Picture) -> tuple[bytes, str]:
        tried.append(one.name)
        return read(one)

    monkeypatch.setattr(judging, "read_whole", note)
    (FOLDER / "no.png").write_bytes(b"no picture")
    picture("yes.png", 3)
    watcher = start()
    good, bad = messages(watcher, 2)
    assert (good["path"], good["error"]) == ("in/yes.png", None)
    assert bad["error"].startswith("this is no image; allowed are PNG")
    assert (bad["pred_score"], bad["pred_label"], bad["model"], bad["largest_region"]) == (None, None, None, None)
    assert tried.count("no.png") == 2
    assert len(messages(start(), 2)) == 2
    assert tried.count("no.png") == 2


def test_a_picture_that_was_half_there_has_one_verdict_and_no_error(start: Callable[[], Watcher]) -> None:
    path = picture("a.png", 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    watcher = start()
    end = time.monotonic() + 20
    while not any(one.tries for one in watcher.arrivals._changing.values()):
        assert time.monotonic() < end
        watcher.step()
    path.write_bytes(whole)
    assert [one["error"] for one in messages(watcher, 1)] == [None]


def test_a_file_that_cannot_be_read_while_the_folder_is_there_is_an_error_in_the_end(
    start: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    read = judging.read_whole
    monkeypatch.setattr(judging, "read_whole", locked)
    monkeypatch.setattr(judging, "ODD_TRIES", 3)
    picture("a.png", 3)
    (found,) = messages(start(), 1)
    assert (found["error"], found["sha256"]) == ("it cannot be read: Permission denied", None)
    monkeypatch.setattr(judging, "read_whole", read)
    (FOLDER / "a.png").chmod(0o644)
    assert len(messages(start(), 1)) == 1


def test_nothing_is_an_error_while_the_share_is_away(
    start: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise OSError(112, "Host is down")

    read = judging.read_whole
    monkeypatch.setattr(judging, "read_whole", away)
    monkeypatch.setattr(judging, "ODD_TRIES", 2)
    monkeypatch.setattr(module, "is_there", lambda folder: False)
    picture("a.png", 3)
    watcher = start()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        watcher.step()
    assert Spool(watcher.state.base, "out").next(9) == []
    monkeypatch.setattr(judging, "read_whole", read)
    assert [one["error"] for one in messages(watcher, 1)] == [None]


@pytest.mark.parametrize("fault", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_an_error(
    start: Callable[[], Watcher], detector: Spotted, monkeypatch: pytest.MonkeyPatch, fault: float
) -> None:
    predict = detector.predict
    spoil = lambda images, sizes: predict(images, sizes)._replace(pred_score=np.full(len(images), fault, np.float32))  # noqa: E731
    monkeypatch.setattr(detector, "predict", spoil)
    picture("a.png", 3)
    (found,) = messages(start(), 1)
    assert "which is no verdict" in found["error"]
    assert found["pred_label"] is None


def test_a_model_that_fails_now_and_then_costs_no_picture(
    start: Callable[[], Watcher], detector: Spotted, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, calls = detector.predict, list[int]()

    def faulty(images: Images, sizes: Sizes | None = None) -> Scores:
        calls.append(len(images))
        if len(calls) < 3:
            raise MemoryError("not now")
        return predict(images, sizes)

    monkeypatch.setattr(detector, "predict", faulty)
    for number in range(6):
        picture(f"{number}.png", number)
    found = messages(start(), 6)
    assert {one["error"] for one in found} == {None}
    assert sorted(one["pred_score"] for one in found) == list(range(6))


def test_a_file_changed_between_the_look_and_the_reading_is_not_judged_as_it_was(
    start: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = judging.read_whole

    def late(one: Picture) -> tuple[bytes, str]:
        if one.name == "a.png" and path.stat().st_size != 999:
            path.write_bytes(b"x" * 999)
        return read(one)

    path = picture("a.png", 3)
    picture("b.png", 4)
    monkeypatch.setattr(judging, "read_whole", late)
    watcher = start()
    first, second = messages(watcher, 2)
    assert (first["path"], first["pred_score"]) == ("in/b.png", 4)
    assert second["error"].startswith("this is no image")
    assert watcher.arrivals.overtaken == 1


def test_prometheus_is_told(start: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_SECONDS", 0)
    for name, value in (("a.png", 3), ("b.png", 9), ("c.png", 9)):
        picture(name, value)
    (FOLDER / "no.png").write_bytes(b"no picture")
    watcher = start()
    messages(watcher, 4)
    (FOLDER / "late.png").write_bytes(b"x")
    watcher.arrivals.settle = 3600
    watcher.arrivals.note("late.png")
    watcher.step()
    get = watcher.instruments.registry.get_sample_value
    own = {"category": "plates"}
    assert get("fastflow_line_judged_total", own | {"pred_label": "0"}) == 1
    assert get("fastflow_line_judged_total", own | {"pred_label": "1"}) == 2
    assert get("fastflow_line_errors_total", own) == 1
    assert get("fastflow_line_waiting", own) == 1
    assert get("fastflow_line_backlog", own | {"output": "out"}) == 4
    assert get("fastflow_line_refused", own | {"output": "out"}) == 0
    assert get("fastflow_line_folder", own) == 1
    age = get("fastflow_line_oldest_seconds", own)
    assert age is not None
    time.sleep(0.1)
    later = get("fastflow_line_oldest_seconds", own)
    assert later is not None
    assert 0.1 <= later - age < 10
