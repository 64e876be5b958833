"""The folder under watch, by the system's events and by listings; and where it goes away and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.line import sight as module
from pipelines.line.arrivals import Arrivals
from pipelines.line.sight import Sight
from tests.conftest import until


@pytest.fixture(params=[False, True], ids=["events", "poll"])
def sight(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sight]:
    (tmp_path / "in").mkdir()
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(module, "SCAN_SECONDS", 3600.0)  # nothing is found by looking through
    found = Sight(Arrivals(tmp_path / "in", {}, settle=0.05), poll=request.param)
    yield found
    found.end()


def seen(sight: Sight, *names: str) -> bool:
    found: set[str] = set()

    def all_of_them() -> bool:
        sight.look()
        found.update(one.name for one in sight.arrivals.take(99, 10**9))
        return found >= set(names)

    until(all_of_them, seconds=30)
    return found == set(names)


def test_what_is_there_and_what_comes_is_seen(sight: Sight) -> None:
    folder = sight.arrivals.folder
    (folder / "old.png").write_bytes(b"x")
    assert seen(sight, "old.png")
    (folder / "new.png").write_bytes(b"x")
    assert seen(sight, "new.png")
    (folder / "part.tmp").write_bytes(b"x")
    (folder / "part.tmp").rename(folder / "renamed.png")
    assert seen(sight, "renamed.png")


def test_a_folder_that_goes_and_comes_back_is_watched_again(sight: Sight) -> None:
    folder = sight.arrivals.folder
    sight.look()
    away = folder.with_name("away")
    folder.rename(away)
    sight._next_scan = 0
    sight.look()
    assert not sight.is_there
    folder.mkdir()  # another share, or the same one mounted anew
    (folder / "meanwhile.png").write_bytes(b"x")
    time.sleep(0.1)
    assert seen(sight, "meanwhile.png")
    assert sight.is_there
    (folder / "later.png").write_bytes(b"x")
    assert seen(sight, "later.png")


def test_what_no_event_told_of_is_found_by_looking_through(sight: Sight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_SECONDS", 0.2)
    monkeypatch.setattr(sight, "on_any_event", lambda event: None)
    sight.look()
    (sight.arrivals.folder / "new.png").write_bytes(b"x")
    assert seen(sight, "new.png")


def test_where_the_system_watches_no_more_folders_they_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(module, "SCAN_SECONDS", 0.1)
    monkeypatch.setattr("watchdog.observers.api.BaseObserver.schedule", full)
    sight = Sight(Arrivals(tmp_path, {}, settle=0.05), poll=False)
    sight.look()
    (tmp_path / "new.png").write_bytes(b"x")
    assert seen(sight, "new.png")
    assert sight.is_there
    assert sum("inotify watch limit reached" in record.message for record in caplog.records) <= 1
    sight.end()
