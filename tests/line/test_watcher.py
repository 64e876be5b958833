"""Pictures of a real folder through the line's loop: what is said of each, once."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from pipelines.line import watcher as module
from pipelines.line.watcher import Watcher
from tests.line.watch_kit import FOLDER, Spotted, messages, picture
from tests.serving.test_batching import SIZE


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


def test_a_new_champion_judges_what_comes_from_then_on(start: Callable[[], Watcher]) -> None:
    picture("a.png", 3)
    watcher = start()
    messages(watcher, 1)
    champion = Spotted()
    champion.version, champion.threshold = "2", {"image": 1, "low": 0, "pixel": 1}  # type: ignore[misc]
    champion.go.set()
    watcher.judge.models.detectors["plates"] = champion  # as the thread that follows the registry does
    picture("b.png", 4)
    assert [(one["model"], one["threshold"]) for one in messages(watcher, 2)] == [("1", 5), ("2", 1)]


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
