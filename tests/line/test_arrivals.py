"""When a file is a picture that waits: whole, not known, in order of arrival."""

import os
import time
from pathlib import Path

import pytest

from pipelines.line.arrivals import Arrivals, is_picture, list_pictures, signature_of
from pipelines.line.verdict import Signature
from tests.conftest import until

SETTLE = 0.15
MANY = 10**9


@pytest.fixture
def arrivals(tmp_path: Path) -> Arrivals:
    return Arrivals(tmp_path, {}, settle=SETTLE)


def write(arrivals: Arrivals, name: str, content: bytes = b"x") -> Path:
    path = arrivals.folder / name
    path.write_bytes(content)
    arrivals.note(name)
    return path


def known(arrivals: Arrivals) -> dict[str, Signature]:
    """As the state fills it."""
    assert isinstance(arrivals.known, dict)
    return arrivals.known


def taken(arrivals: Arrivals, count: int) -> list[str]:
    """Names, in order, once so many have been taken."""
    found: list[str] = []

    def enough() -> bool:
        found.extend(one.name for one in arrivals.take(MANY, MANY))
        return len(found) >= count

    until(enough, seconds=20)
    return found


def test_a_file_is_taken_once_it_has_not_changed_for_a_while_and_no_sooner(arrivals: Arrivals) -> None:
    start = time.monotonic()
    path = write(arrivals, "a.png")
    while time.monotonic() < start + 4 * SETTLE:  # it grows, faster than it would settle
        assert arrivals.take(MANY, MANY) == []
        with path.open("ab") as file:
            file.write(b"x")
        time.sleep(SETTLE / 5)
    last = time.monotonic()
    assert taken(arrivals, 1) == ["a.png"]
    assert time.monotonic() - last >= SETTLE - SETTLE / 5
    assert arrivals.take(MANY, MANY) == []


def test_a_picture_that_came_late_but_is_whole_does_not_wait_for_one_that_grows(arrivals: Arrivals) -> None:
    slow = write(arrivals, "a.png")
    write(arrivals, "b.png")
    end, found = time.monotonic() + 20, list[str]()
    while not found and time.monotonic() < end:
        found = [one.name for one in arrivals.take(MANY, MANY)]
        with slow.open("ab") as file:
            file.write(b"x")
        time.sleep(SETTLE / 10)
    assert found == ["b.png"]
    assert taken(arrivals, 1) == ["a.png"]


def test_what_came_first_is_taken_first_also_where_a_scan_finds_it(arrivals: Arrivals) -> None:
    for number, name in enumerate(["c.png", "a.png", "b.png"]):
        path = arrivals.folder / name
        path.write_bytes(b"x")
        os.utime(path, ns=(0, 10**9 * number))
    arrivals.scan()
    assert taken(arrivals, 3) == ["c.png", "a.png", "b.png"]
    assert arrivals.present == {("c.png", 0), ("a.png", 10**9), ("b.png", 2 * 10**9)}


def test_files_of_one_time_are_taken_in_the_order_in_which_they_were_noticed(arrivals: Arrivals) -> None:
    for name in ("c.png", "a.png", "b.png"):
        path = write(arrivals, name)
        os.utime(path, ns=(0, 0))
    assert taken(arrivals, 3) == ["c.png", "a.png", "b.png"]


def test_known_files_are_not_taken_and_overwritten_ones_are(arrivals: Arrivals) -> None:
    path = write(arrivals, "a.png")
    known(arrivals)["a.png"] = signature_of(path.stat())
    arrivals.scan()
    other = write(arrivals, "b.png")
    assert taken(arrivals, 1) == ["b.png"]
    known(arrivals)["b.png"] = signature_of(other.stat())
    path.write_bytes(b"y")
    arrivals.scan()
    assert taken(arrivals, 1) == ["a.png"]


def test_so_many_pictures_and_bytes_are_taken_at_once_but_one_at_least(arrivals: Arrivals) -> None:
    for number in range(5):
        write(arrivals, f"{number}.png", b"x" * 10)
    until(lambda: len(arrivals._whole) == 5 or bool(arrivals.take(0, MANY)), seconds=20)
    assert [len(arrivals.take(*limits)) for limits in ((2, MANY), (9, 19), (9, 1), (9, MANY))] == [2, 1, 1, 1]


def test_a_whole_picture_that_is_overwritten_before_it_is_taken_is_counted_and_the_new_one_taken(
    arrivals: Arrivals,
) -> None:
    path = write(arrivals, "a.png")
    until(lambda: bool(arrivals._whole) or bool(arrivals.take(0, MANY)), seconds=20)
    path.write_bytes(b"another")
    arrivals.note("a.png")
    assert taken(arrivals, 1) == ["a.png"]
    assert arrivals.overtaken == 1
    path.write_bytes(b"one more")
    arrivals.note("a.png")
    assert arrivals.take(MANY, MANY) == []
    path.unlink()
    time.sleep(SETTLE)
    assert arrivals.take(MANY, MANY) == []
    assert (arrivals.waiting(), arrivals.overtaken) == (0, 1)


def test_a_picture_to_be_tried_again_comes_after_its_pause_and_at_once_where_its_file_changes(
    arrivals: Arrivals,
) -> None:
    path = write(arrivals, "a.png")
    until(lambda: bool(arrivals._whole) or bool(arrivals.take(0, MANY)), seconds=20)
    (picture,) = arrivals.take(MANY, MANY)
    arrivals.again(picture, seconds=2 * SETTLE, counts=True)
    arrivals.note("a.png")  # an event without a change
    time.sleep(SETTLE)
    assert arrivals.take(MANY, MANY) == []
    time.sleep(1.5 * SETTLE)
    (picture,) = arrivals.take(MANY, MANY)
    assert picture.tries == 1
    arrivals.again(picture, seconds=3600, counts=True)
    path.write_bytes(b"the rest")
    arrivals.note("a.png")
    assert taken(arrivals, 1) == ["a.png"]


def test_nothing_is_lost_while_the_folder_is_away(arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    write(arrivals, "a.png")
    arrivals.take(MANY, MANY)
    stat = Path.stat

    def away(*_: object, **__: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "stat", away)
    monkeypatch.setattr("pipelines.line.arrivals.AWAY_SECONDS", 0.01)
    write_late = arrivals.folder / "b.png"
    with write_late.open("wb") as file:
        file.write(b"x")
    arrivals.note("b.png")
    time.sleep(SETTLE)
    assert arrivals.take(MANY, MANY) == []
    monkeypatch.setattr(Path, "stat", stat)
    arrivals.scan()
    assert sorted(taken(arrivals, 2)) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("a.png", 1), ("A.JPEG", 1), ("a.tif", 1), (".a.png", 0), ("a.png.part", 0), ("Thumbs.db", 0)],
)
def test_files_that_are_no_pictures_by_their_names_are_passed_over(name: str, wanted: int) -> None:
    assert is_picture(name) is bool(wanted)


def test_only_files_count_not_folders_nor_pipes(arrivals: Arrivals) -> None:
    (arrivals.folder / "folder.png").mkdir()
    os.mkfifo(arrivals.folder / "pipe.png")
    write(arrivals, "a.png")
    for name in ("folder.png", "pipe.png", "gone.png"):
        arrivals.note(name)
    assert list(list_pictures(arrivals.folder)) == ["a.png"]
    assert taken(arrivals, 1) == ["a.png"]
    assert arrivals.waiting() == 0


def test_the_age_is_that_of_the_picture_that_waits_longest(arrivals: Arrivals) -> None:
    assert arrivals.oldest() is None
    before = time.time()
    write(arrivals, "a.png")
    arrivals.take(MANY, MANY)
    middle = time.time()
    write(arrivals, "b.png")
    arrivals.take(1, MANY)
    assert before <= (arrivals.oldest() or 0) <= middle
    assert arrivals.waiting() == 2


def test_a_name_that_is_no_utf8_is_known_by_its_printable_form(arrivals: Arrivals) -> None:
    raw = os.fsdecode(b"caf\xe9.png")
    path = arrivals.folder / raw
    path.write_bytes(b"x")
    arrivals.scan()
    assert taken(arrivals, 1) == ["caf\\udce9.png"]
    known(arrivals)["caf\\udce9.png"] = signature_of(path.stat())
    arrivals.scan()
    time.sleep(SETTLE)
    assert arrivals.take(MANY, MANY) == []
