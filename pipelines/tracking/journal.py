"""The record of a run, written to this disk first: no server can slow it down or lose it.

One folder per writing process, .mlflow/journal/<time>-<name>-<pid>/:

    journal.jsonl   one entry per line, appended
    files/          copies of the files to upload
    alive           locked while the writer lives; the kernel frees it, even after SIGKILL

A journal that the store has received moves to .mlflow/journal/done/, without its files, with result.json.
"""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastflow.errors import BadData
from fastflow.files import with_space_needed, write_text
from pipelines.core.paths import STORE
from pipelines.core.stored import read_stored

JOURNALS = STORE / "journal"
DONE = JOURNALS / "done"
_LINES, _FILES, _ALIVE, _REPLAY, _RESULT = "journal.jsonl", "files", "alive", "replay.lock", "result.json"
_DONE_KEPT = 200

Entry = dict[str, Any]


def milliseconds() -> int:
    """Now, in milliseconds since the epoch, as MLflow stores times."""
    return time.time_ns() // 1_000_000


class Journal:
    """The writing side. Made under a hidden name, then shown: a reader never finds one that is not yet locked."""

    def __init__(self, label: str, /, **header: Any) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", label)
        self.folder = JOURNALS / f"{time.time_ns():020d}-{safe}-{os.getpid()}"
        part = JOURNALS / f".{self.folder.name}"
        STORE.mkdir(mode=0o700, parents=True, exist_ok=True)
        (part / _FILES).mkdir(parents=True)
        self._alive = (part / _ALIVE).open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._lines = os.open(part / _LINES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.add("run", **header)
        part.rename(self.folder)

    def add(self, op: str, **values: Any) -> None:
        """Appends one entry, in one write, or nothing: half a line would spoil the next one."""
        line = (json.dumps({"op": op, **values}) + "\n").encode()
        size = os.fstat(self._lines).st_size
        try:
            while line:
                line = line[os.write(self._lines, line) :]
        except OSError as error:
            os.ftruncate(self._lines, size)
            raise with_space_needed(error, self.folder / _LINES, len(line)) from error

    def keep(self, path: Path, *, without: tuple[str, ...] = ()) -> str:
        """Copies a file or folder, which later runs may overwrite, into the journal; returns its folder there."""
        place = f"{_FILES}/{len(list((self.folder / _FILES).iterdir()))}"
        copy = self.folder / place
        copy.mkdir()
        if path.is_dir():
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns(*without))
            return f"{place}/{path.name}"
        shutil.copy2(path, copy)
        return place

    def close(self, *, status: str) -> None:
        """Writes the last entry; nothing may be added after it."""
        self.add("end", status=status, time=milliseconds())
        os.fsync(self._lines)
        os.close(self._lines)
        self._alive.close()


def read(folder: Path) -> list[Entry]:
    """All whole entries. The last one of a killed writer may be torn: it is left out.

    Raises:
        BadData: a line that is no entry, or none at all.
        OSError: it cannot be read.
    """
    file = folder / _LINES
    entries = []
    for number, line in enumerate(file.read_bytes().split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)  # a metric may be NaN
        except (ValueError, RecursionError) as error:
            raise BadData(f"{file}, line {number} is damaged ({error})") from error
        if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
            raise BadData(f"{file}, line {number} is damaged: it is no entry")
        entries.append(entry)
    if not entries or entries[0]["op"] != "run" or "key" not in entries[0]:
        raise BadData(f"{file} is damaged: it does not begin with its run")
    return entries


def kept(folder: Path, entry: Entry) -> Path:
    """The copy that an entry names, as `Journal.keep` made it. Raises BadData where it leads anywhere else: a journal
    may come from a backup, and what it names is sent to a server."""
    source = folder / str(entry["source"])
    inside = source.resolve().is_relative_to((folder / _FILES).resolve())
    if not inside or any(path.is_symlink() for path in source.rglob("*")):
        raise BadData(f"{folder / _LINES} names {entry['source']!r}, which is no copy of its own: not sent")
    return source


def categories_of(folder: Path) -> set[str] | None:
    """The categories that a journal names; none for a retraining's. None where it is damaged: it may be of any."""
    named: set[str] = set()
    read_one = False
    try:
        for line in (folder / _LINES).read_bytes().split(b"\n")[:-1]:
            entry = dict(json.loads(line))
            named.update(str(about["category"]) for about in (entry, entry.get("tags", {})) if "category" in about)
            read_one = True
    except (OSError, ValueError, TypeError, RecursionError):
        return named or None
    return named if read_one else None


def writer_is_alive(folder: Path) -> bool:
    """Whether the process that writes this journal still runs."""
    try:
        file = (folder / _ALIVE).open("r")
    except FileNotFoundError:  # sent meanwhile, or copied here without that file
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def pending() -> list[Path]:
    """Journals that the store has not received completely, oldest first."""
    return sorted(p for p in JOURNALS.glob("[0-9]*") if (p / _LINES).is_file()) if JOURNALS.is_dir() else []


@contextmanager
def replaying(folder: Path) -> Iterator[bool]:
    """Whether this process, alone, may replay the journal now."""
    try:
        lock = (folder / _REPLAY).open("w")
    except FileNotFoundError:  # done meanwhile
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield (folder / _LINES).is_file()


def is_carried(folder: Path) -> bool:
    """Whether another process replays the journal."""
    with replaying(folder) as mine:
        return not mine


def finish(folder: Path, result: Entry) -> None:
    """Files the journal as sent: its files are deleted, entries and `result` stay, for the last 200 journals."""
    write_text(folder / _RESULT, json.dumps(result, indent=2) + "\n")
    DONE.mkdir(exist_ok=True)
    folder.rename(DONE / folder.name)
    shutil.rmtree(DONE / folder.name / _FILES, ignore_errors=True)
    for old in sorted(DONE.iterdir())[:-_DONE_KEPT]:
        if old.name != folder.name:  # where the clock was set back, this is the oldest, and is still asked for
            shutil.rmtree(old, ignore_errors=True)


def result(folder: Path) -> Entry | None:
    """The result of a replayed journal: run_id, and version where a model was registered. None: not replayed yet."""
    file = DONE / folder.name / _RESULT
    if not file.is_file():
        return None
    return dict(read_stored(file, dict[str, str | None], cure="move its folder away: the run itself is in MLflow"))


def result_of(key: str) -> Entry | None:
    """The result of the newest replayed journal of the run with that key."""
    for folder in sorted(DONE.glob("[0-9]*"), reverse=True):
        with suppress(BadData, OSError):  # a damaged one is another run's, or tells nothing
            if read(folder)[0]["key"] == key:
                return result(folder)
    return None
