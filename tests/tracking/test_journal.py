"""The journal on disk, without a store: what is read back, who may send it, and what is kept of it afterwards."""

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.core.paths import STORE
from pipelines.tracking import journal
from pipelines.tracking.journal import DONE, JOURNALS, Journal

pytestmark = pytest.mark.usefixtures("folder")


Begin = Callable[..., Journal]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Makes journals, and closes those that a test left open."""
    made: list[Journal] = []

    def journal_of(label: str = "a", *, key: str = "k", **header: object) -> Journal:
        made.append(Journal(label, key=key, **header))
        return made[-1]

    yield journal_of
    for one in made:
        with suppress(OSError):
            one.close(status="FINISHED")
        one._alive.close()


def lines_of(folder: Path) -> Path:
    return folder / "journal.jsonl"


def test_entries_come_back_in_order_and_a_torn_one_is_left_out(begin: Begin) -> None:
    made = begin("a training", name="n")
    made.add("params", values={"epochs": 3})
    made.close(status="FINISHED")
    with pytest.raises(OSError, match="Bad file descriptor"):
        made.add("params", values={"late": 1})
    first, second, last = journal.read(made.folder)
    assert first == {"op": "run", "key": "k", "name": "n"}
    assert second == {"op": "params", "values": {"epochs": 3}}
    assert (last["op"], last["status"]) == ("end", "FINISHED")
    with lines_of(made.folder).open("a") as file:
        file.write('{"op": "metrics"}')  # whole, but for the end of its line
    assert journal.read(made.folder) == [first, second, last]


def test_an_entry_that_is_written_in_parts_is_one_line(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    made, whole = begin(), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:3]))
    made.add("tags", values={"category": "plates"})
    assert json.loads(lines_of(made.folder).read_text().splitlines()[1]) == {
        "op": "tags", "values": {"category": "plates"},
    }  # fmt: skip


def test_the_time_of_an_end_is_in_milliseconds(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    made = begin()
    made.close(status="FAILED")
    assert journal.read(made.folder)[-1] == {"op": "end", "status": "FAILED", "time": 1_700_000_000_123}
    assert made.folder.name == f"01700000000123456789-a-{os.getpid()}"


def test_folders_are_named_safely_and_stand_in_the_order_of_time(begin: Begin) -> None:
    names = ["../x y/ö", "b", "a"]
    made = [begin(name, key=name) for name in names]
    assert made[0].folder.name.split("-", 1)[1] == f"..-x-y--{os.getpid()}"
    assert [one.folder.parent for one in made] == [JOURNALS] * 3
    assert journal.pending() == [one.folder for one in made]
    hidden = JOURNALS / f".{made[0].folder.name}"
    shutil.copytree(made[0].folder, hidden)  # a writer that is just beginning
    (JOURNALS / "0123-empty-1").mkdir()
    assert journal.pending() == [one.folder for one in made]


def test_there_is_nothing_to_send_before_the_first_journal() -> None:
    assert journal.pending() == []


def test_the_store_of_a_project_is_for_its_user_alone(begin: Begin) -> None:
    folder = begin().folder
    assert stat.S_IMODE(STORE.stat().st_mode) == 0o700
    assert stat.S_IMODE(lines_of(folder).stat().st_mode) == 0o600


def test_files_are_kept_as_they_were_each_in_its_own_place(begin: Begin) -> None:
    made = begin()
    Path("a.txt").write_text("first")
    Path("model/inner").mkdir(parents=True)
    for name in ("config.json", "run.json", "inner/run.json", "inner/x.txt"):
        (Path("model") / name).write_text(name)
    places = [made.keep(Path("a.txt"))]
    Path("a.txt").write_text("second")
    places += [made.keep(Path("a.txt")), made.keep(Path("model"), without=("run.json",)), made.keep(Path("model"))]
    assert places == ["files/0", "files/1", "files/2/model", "files/3/model"]
    assert [(made.folder / place / "a.txt").read_text() for place in places[:2]] == ["first", "second"]
    kept = {
        place: {str(p.relative_to(made.folder / place)) for p in (made.folder / place).rglob("*") if p.is_file()}
        for place in places[2:]
    }
    assert kept == {
        "files/2/model": {"config.json", "inner/x.txt"},
        "files/3/model": {"config.json", "run.json", "inner/run.json", "inner/x.txt"},
    }


def test_a_writer_is_alive_while_it_holds_its_lock(begin: Begin) -> None:
    made = begin()
    assert journal.writer_is_alive(made.folder)
    made.close(status="FINISHED")
    assert not journal.writer_is_alive(made.folder)
    (made.folder / "alive").unlink()
    assert not journal.writer_is_alive(made.folder)


def test_a_new_journal_is_locked_before_it_is_shown(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    rename = Path.rename

    def watch(self: Path, target: Path) -> Path:
        seen.append((journal.pending(), journal.writer_is_alive(self), len(journal.read(self))))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watch)
    made = begin()
    assert seen == [([], True, 1)]
    assert journal.pending() == [made.folder]


def test_one_process_sends_a_journal_at_a_time(begin: Begin) -> None:
    folder = begin().folder
    with journal.replaying(folder) as mine:
        assert mine
        with journal.replaying(folder) as second:
            assert not second
    with journal.replaying(folder) as again:
        assert again
    with (folder / "replay.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with journal.replaying(folder) as meanwhile:
            assert not meanwhile
    lines_of(folder).unlink()  # sent by the other, just before this one had the lock
    with journal.replaying(folder) as too_late:
        assert not too_late
    with journal.replaying(JOURNALS / "0-gone-1") as gone:
        assert not gone


def test_a_sent_journal_leaves_its_entries_and_its_result(begin: Begin) -> None:
    made = begin()
    Path("a.txt").write_text("large")
    made.keep(Path("a.txt"))
    made.close(status="FINISHED")
    assert journal.result(made.folder) is None
    journal.finish(made.folder, {"run_id": "r", "version": "3"})
    assert journal.pending() == []
    assert journal.result(made.folder) == {"run_id": "r", "version": "3"}
    done = DONE / made.folder.name
    assert len(journal.read(done)) == 2
    assert not (done / "files").exists()


def test_the_newest_result_of_a_key_counts(begin: Begin) -> None:
    assert journal.result_of("k") is None
    for number, key in enumerate(("k", "other", "k", "last")):
        made = begin(key=key)
        made.close(status="FINISHED")
        journal.finish(made.folder, {"run_id": str(number)})
    assert journal.result_of("k") == {"run_id": "2"}
    assert journal.result_of("unknown") is None


def test_the_last_two_hundred_sent_journals_are_kept(begin: Begin) -> None:
    for number in range(205):
        (DONE / f"{number:020d}-old-1").mkdir(parents=True)
    made = begin()
    made.close(status="FINISHED")
    journal.finish(made.folder, {})
    kept = sorted(path.name for path in DONE.iterdir())
    assert len(kept) == 200
    assert (kept[0], kept[-1]) == (f"{6:020d}-old-1", made.folder.name)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['{"op": "run", "tags": {"category": "plates"}}', '{"op": "params"}'], {"plates"}),
        (['{"op": "run", "tags": {}}', '{"op": "model", "category": "gears"}'], {"gears"}),
        (
            ['{"op": "run", "tags": {"category": "plates"}}', '{"op": "model", "category": "gears"}'],
            {"plates", "gears"},
        ),
        (['{"op": "run", "tags": {}}'], set()),
        (['{"op": "run", "tags": {"category": "plates"}}', "torn {"], {"plates"}),
        (["{"], None),
        (["3"], None),
        (['{"op": "run", "tags": {}}', "{"], None),
        ([], None),
    ],
)
def test_a_journal_names_its_categories(lines: list[str], expected: set[str] | None) -> None:
    folder = Path("some")
    folder.mkdir()
    lines_of(folder).write_text("".join(f"{line}\n" for line in lines) + '{"tags": {"category": "torn"}}')
    assert journal.categories_of(folder) == expected


def test_a_journal_that_is_gone_may_be_of_any_category() -> None:
    assert journal.categories_of(Path("gone")) is None
