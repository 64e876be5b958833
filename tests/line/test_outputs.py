"""How an output's queue is sent: in order, again after failures, past refusals, and to the end where it is to end."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.line import outputs
from pipelines.line.outputs import Messages, Refusal, Sender
from pipelines.line.state import State, opened, state_file
from pipelines.line.status import waiting
from tests.conftest import until
from tests.line.test_state import one


class Side:
    """An output that does in turn what it is told: None takes, an exception is raised."""

    name, at_once = "side", 1

    def __init__(self, *does: Exception | None) -> None:
        self.does, self.taken, self.asked = (
            iter(itertools.chain(does, itertools.repeat(None))),
            list[int](),
            list[int](),
        )
        self.idles, self.closed, self.up = 0, False, threading.Event()
        self.up.set()

    def send(self, messages: Messages) -> None:
        numbers = [one["number"] for one in messages]
        self.asked += numbers
        if not self.up.is_set():
            raise ConnectionError("down")
        if does := next(self.does):
            raise does
        self.taken += numbers

    def idle(self) -> None:
        self.idles += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _quick(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(outputs, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(outputs, "IDLE_SECONDS", 0.01)


@pytest.fixture
def state(folder: Path) -> Iterator[State]:
    with opened(state_file("plates")) as base:
        yield State(base, ["side"])


def sender(side: Side) -> Sender:
    found = Sender(side, state_file("plates"))
    found.start()
    return found


def failures(state: State) -> list[Any]:
    return state.base.execute("SELECT reason FROM failing").fetchall()


def test_all_is_sent_in_order_and_what_comes_later_too(state: State) -> None:
    side = Side()
    state.add([one(number) for number in range(1, 6)])
    sending = sender(side)
    until(lambda: len(side.taken) == 5, seconds=20)
    until(lambda: side.idles > 0, seconds=20)
    state.add([one(9)])
    sending.wake()
    until(lambda: len(side.taken) == 6, seconds=20)
    sending.end()
    assert side.taken == [1, 2, 3, 4, 5, 6]
    assert side.closed
    assert not sending.is_alive()
    assert waiting(state.base) == {}


def test_what_fails_is_tried_again_and_keeps_its_place(state: State) -> None:
    side = Side(None, OSError("away"), RuntimeError(), None)
    state.add([one(number) for number in range(1, 5)])
    sending = sender(side)
    until(lambda: len(side.taken) == 4, seconds=20)
    sending.end()
    assert side.asked == [1, 2, 2, 2, 3, 4]
    assert failures(state) == []


def test_what_is_refused_is_parked_with_its_reason_and_blocks_nothing(state: State) -> None:
    side = Side(None, Refusal("it answered 422"), None)
    state.add([one(number) for number in range(1, 4)])
    sending = sender(side)
    until(lambda: len(side.taken) == 2, seconds=20)
    sending.end()
    assert side.taken == [1, 3]
    assert state.base.execute("SELECT number, refused FROM waiting").fetchall() == [(2, "it answered 422")]


def test_while_the_other_side_is_away_all_waits_and_the_reason_is_kept(state: State) -> None:
    side = Side()
    side.up.clear()
    state.add([one(number) for number in range(1, 4)])
    sending = sender(side)
    until(lambda: len(side.asked) > 3, seconds=20)
    assert set(side.asked) == {1}
    assert failures(state) == [("down",)]
    assert waiting(state.base) == {"side": (3, 0)}
    side.up.set()
    until(lambda: len(side.taken) == 3, seconds=20)
    sending.end()
    assert failures(state) == []


def test_an_end_sends_what_waits_and_does_not_wait_for_a_side_that_is_away(state: State) -> None:
    side = Side()
    state.add([one(number) for number in range(1, 40)])
    sending = sender(side)
    sending.end()
    assert side.taken == list(range(1, 40))
    away = Side()
    away.up.clear()
    state.add([one(50)])
    sending = sender(away)
    until(lambda: len(away.asked) > 0, seconds=20)
    sending.end()
    assert not sending.is_alive()
    assert waiting(state.base) == {"side": (1, 0)}


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "FIRST_PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(outputs, "LONGEST_PAUSE_SECONDS", 10.0)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    sending, paused = Sender(Side(), state_file("plates")), list[float]()
    monkeypatch.setattr(sending._ending, "wait", paused.append)
    for _ in range(6):
        sending._pause()
    assert paused == [1, 2, 4, 8, 10, 10]


def test_a_close_that_fails_ends_the_thread_all_the_same(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side()
    monkeypatch.setattr(side, "close", lambda: 1 / 0)
    sending = sender(side)
    sending.end()
    assert not sending.is_alive()
