"""What the line remembers: each picture once, what waits for each output, and no more than it should."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastflow.errors import BadData
from pipelines.line import state as module
from pipelines.line import status
from pipelines.line.spool import Spool
from pipelines.line.state import State, opened, state_file
from pipelines.line.verdict import Identity, Signature

HASH = "0" * 64
OUTPUTS = ["json_lines", "webhook"]


@pytest.fixture
def base(folder: Path) -> Iterator[sqlite3.Connection]:
    with opened(state_file("plates")) as base:
        yield base


def one(number: int, *, name: str | None = None, sha256: str = HASH) -> tuple[Identity, Signature, dict[str, Any]]:
    identity = Identity(name or f"{number}.png", number, sha256)
    message = {"idempotency_key": f"key {number}", "judged": "2026-11-30T10:00:00.000+00:00"}
    return identity, Signature(5, number, number), message | {"pred_label": number % 2, "error": None}


def test_a_picture_is_known_by_name_time_and_content_and_only_by_all_three(base: sqlite3.Connection) -> None:
    state = State(base, OUTPUTS)
    state.add([one(1)])
    assert state.knows(Identity("1.png", 1, HASH))
    assert not state.knows(Identity("2.png", 1, HASH))
    assert not state.knows(Identity("1.png", 2, HASH))
    assert not state.knows(Identity("1.png", 1, "1" * 64))


def test_a_picture_that_could_not_be_read_is_known_by_name_and_time(base: sqlite3.Connection) -> None:
    state = State(base, OUTPUTS)
    state.add([one(1, sha256=""), one(2)])
    assert state.knows(Identity("1.png", 1, HASH))
    assert not state.knows(Identity("1.png", 2, HASH))
    assert state.knows(Identity("2.png", 2, ""))  # judged before, and unreadable now


def test_the_last_file_of_each_name_is_known_after_a_restart(base: sqlite3.Connection) -> None:
    state = State(base, OUTPUTS)
    state.add([one(1, name="ring.png"), one(2, name="ring.png"), one(3)])
    assert state.known == {"ring.png": Signature(5, 2, 2), "3.png": Signature(5, 3, 3)}
    state.saw(Identity("3.png", 3, HASH), Signature(5, 3, 99))
    assert State(base, OUTPUTS).known == state.known == {"ring.png": Signature(5, 2, 2), "3.png": Signature(5, 3, 99)}


def test_what_is_left_out_at_the_first_start_is_known_whatever_it_holds(base: sqlite3.Connection) -> None:
    state = State(base, OUTPUTS)
    assert state.is_first
    state.start({"old.png": Signature(5, 1, 1)})
    again = State(base, OUTPUTS)
    assert not again.is_first
    assert again.known == {"old.png": Signature(5, 1, 1)}
    assert again.knows(Identity("old.png", 1, HASH))
    assert Spool(base, "webhook").next(9) == []


def test_all_of_a_batch_is_kept_or_nothing(base: sqlite3.Connection) -> None:
    state = State(base, OUTPUTS)
    with pytest.raises(sqlite3.IntegrityError):
        state.add([one(1), one(2), one(1)])
    assert not state.knows(Identity("2.png", 2, HASH))
    assert state.known == {}
    assert Spool(base, "webhook").next(9) == []


def test_each_output_has_a_queue_of_its_own_in_order(base: sqlite3.Connection) -> None:
    state, spool, other = State(base, OUTPUTS), Spool(base, "webhook"), Spool(base, "json_lines")
    state.add([one(5), one(3)])
    state.add([one(4)])
    assert [(found["number"], found["idempotency_key"]) for found in spool.next(9)] == [
        (1, "key 5"), (2, "key 3"), (3, "key 4"),
    ]  # fmt: skip
    spool.done(spool.next(1))
    spool.park(spool.next(1)[0], "it answered 422")
    assert [found["number"] for found in spool.next(9)] == [3]
    assert [found["number"] for found in other.next(2)] == [1, 2]
    assert status.waiting(base) == {"json_lines": (3, 0), "webhook": (1, 1)}


def test_status_says_what_fails_and_what_was_refused_and_resend_makes_it_wait_again(
    base: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    state, spool = State(base, OUTPUTS), Spool(base, "webhook")
    state.add([one(1), one(2), (*one(3)[:2], one(3)[2] | {"error": "no image", "pred_label": None})])
    spool.park(spool.next(1)[0], "it answered 422")
    spool.fails("no route")
    status.show("plates")
    said = capsys.readouterr().out
    assert said.startswith("plates: 3 pictures, 1 rejected, 1 without a verdict\nthe last: number 3, judged 2026-")
    assert "webhook: 2 to send, 1 refused\n  fails since " in said
    assert "UTC: no route\n  number 1: it answered 422\n" in said
    status.resend("plates")
    assert "1 refused verdict will be sent again" in capsys.readouterr().out
    assert [found["number"] for found in spool.next(9)] == [1, 2, 3]
    spool.done([])
    status.show("plates")
    assert "fails" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="lids was never watched in this folder"):
        status.show("lids")


def numbers(base: sqlite3.Connection) -> list[int]:
    return [number for (number,) in base.execute("SELECT number FROM pictures ORDER BY number")]


def test_old_pictures_are_forgotten_but_for_those_in_the_folder_and_those_that_wait(base: sqlite3.Connection) -> None:
    state, spool = State(base, ["webhook"]), Spool(base, "webhook")
    state.add([one(number) for number in range(1, 11)])
    spool.park(spool.next(1)[0], "refused")
    spool.done(spool.next(1))
    spool.done(spool.next(9)[1:])  # number 3 waits, as 1 is parked
    state.prune(set(), kept=4)
    assert numbers(base) == list(range(1, 11))  # a share that is away shows an empty folder
    state.prune({("2.png", 2), ("4.png", 99)}, kept=4)
    assert numbers(base) == [2, 3, 7, 8, 9, 10]
    assert set(state.known) == {f"{number}.png" for number in (2, 3, 7, 8, 9, 10)}
    assert status.waiting(base) == {"webhook": (1, 0)}
    state.add([one(11)])
    state.prune({("2.png", 2)}, kept=0)  # so soon after, nothing is looked at
    assert len(numbers(base)) == 7


def test_an_output_that_is_no_longer_named_holds_nothing_for_ever(base: sqlite3.Connection) -> None:
    State(base, ["mqtt"]).add([one(number) for number in range(1, 6)])
    State(base, ["webhook"]).prune({("9.png", 9)}, kept=2)
    assert numbers(base) == [4, 5]
    assert status.waiting(base) == {"mqtt": (2, 0)}


def test_forgetting_happens_every_so_many_pictures(base: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRUNE_EVERY", 3)
    state = State(base, [])
    state.prune({("x.png", 0)}, kept=1)
    for number in range(1, 7):
        state.add([one(number)])
        state.prune({("x.png", 0)}, kept=1)
        assert numbers(base) == {1: [1], 2: [1, 2], 3: [3], 4: [3, 4], 5: [3, 4, 5], 6: [6]}[number]


def test_a_damaged_state_is_one_sentence(folder: Path) -> None:
    path = state_file("plates")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no data base" * 1000)
    with (
        pytest.raises(BadData, match=r"plates.sqlite is damaged \(file is not a database\); move it away"),
        opened(path),
    ):
        raise AssertionError
