"""Files that are no pictures, shares that are away, models that fail: what the line makes of them."""

import time
from collections.abc import Callable
from typing import NoReturn

import numpy as np
import pytest

from fastflow.detector import Images, Scores, Sizes
from pipelines.line import judge as judging
from pipelines.line import watcher as module
from pipelines.line.spool import Spool
from pipelines.line.verdict import Picture
from pipelines.line.watcher import Watcher
from tests.line.watch_kit import FOLDER, Spotted, messages, picture


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


@pytest.mark.parametrize("before", [0, 1])
def test_nothing_is_an_error_while_the_share_is_away(
    start: Callable[[], Watcher], monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Of two tries, one fails while the share is there: `before` it goes away, or after it came back."""
    failed = list[bool]()

    def fails(_: object) -> NoReturn:
        failed.append(True)
        raise OSError(112, "Host is down")

    read = judging.read_whole
    monkeypatch.setattr(judging, "read_whole", fails)
    monkeypatch.setattr(judging, "ODD_TRIES", 2)
    monkeypatch.setattr(module, "is_there", lambda folder: len(failed) <= before)
    picture("a.png", 3)
    watcher = start()
    end = time.monotonic() + 30
    while len(failed) < before + 4:
        assert time.monotonic() < end
        watcher.step()
    assert Spool(watcher.state.base, "out").next(9) == []
    monkeypatch.setattr(module, "is_there", lambda folder: True)
    more = iter([True] * (1 - before))
    monkeypatch.setattr(judging, "read_whole", lambda one: fails(one) if next(more, False) else read(one))
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

    once = iter([True])

    def late(one: Picture) -> tuple[bytes, str]:
        if one.name == "a.png" and next(once, False):
            path.write_bytes(b"x" * path.stat().st_size)
        return read(one)

    path = picture("a.png", 3)
    picture("b.png", 4)
    monkeypatch.setattr(judging, "read_whole", late)
    watcher = start()
    first, second = messages(watcher, 2)
    assert (first["path"], first["pred_score"]) == ("in/b.png", 4)
    assert second["error"].startswith("this is no image")
    assert watcher.arrivals.overtaken == 1
