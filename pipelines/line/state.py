"""What the line has judged, and which verdict waits for which output: .state/line/NAME.sqlite.

A picture, its verdict and its place in each output's queue are written in one transaction: a kill at any moment leaves
either all of it or none. One process watches; its outputs' threads, and `--status`, have their own connections.
"""

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.core.base import opened_base
from pipelines.core.paths import STATE
from pipelines.line.verdict import Identity, Signature, as_text

KEPT = 100_000  # pictures, and those that are in the folder still: about 100 MB
PRUNE_EVERY = 1_000  # pictures
CURE = "move it away: all pictures in the folder are then judged again, and those that wait for an output are not sent"
TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
  number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL,
  size INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, message TEXT,
  UNIQUE (name, mtime_ns, sha256));
CREATE TABLE IF NOT EXISTS waiting (
  output TEXT NOT NULL, number INTEGER NOT NULL, refused TEXT, PRIMARY KEY (output, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing (output TEXT PRIMARY KEY, reason TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS starts (time REAL NOT NULL);
"""
SAME = "name = :name AND mtime_ns = :mtime_ns AND (sha256 IN (:sha256, '') OR :sha256 = '')"
LAST = """SELECT name, size, mtime_ns, ctime_ns FROM pictures
  WHERE number IN (SELECT max(number) FROM pictures GROUP BY name)"""
OLD = "SELECT number, name, mtime_ns FROM pictures WHERE number <= ? AND number NOT IN (SELECT number FROM waiting)"


def state_file(category: str) -> Path:
    return STATE / "line" / f"{category}.sqlite"


@contextmanager
def opened(path: Path, *, sure: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection, of this thread alone. `sure`: what is written is there after a loss of power, too.

    Raises:
        BadData: the file is damaged.
        ServerAway: it cannot be read or written, as on a full disk.
    """
    with opened_base(path, TABLES, cure=CURE, sure=sure) as base:
        yield base


class State:
    """The watching side. `known`: the last file of each name that has a verdict, or was there before `--new-only`."""

    def __init__(self, base: sqlite3.Connection, outputs: Sequence[str]) -> None:
        self.base, self.outputs = base, outputs
        self.known: dict[str, Signature] = {}
        self._read_known()
        self.is_first = base.execute("SELECT count(*) FROM starts").fetchone() == (0,)
        self._since_prune = PRUNE_EVERY

    def _read_known(self) -> None:
        self.known.clear()
        self.known.update((name, Signature(*rest)) for name, *rest in self.base.execute(LAST))

    def start(self, skipped: dict[str, Signature]) -> None:
        """Notes a start; files that are `skipped` count as known, whatever their content."""
        with self.base:
            self.base.execute("INSERT INTO starts VALUES (?)", (time.time(),))
            for name, signature in skipped.items():
                self._insert(Identity(name, signature.mtime_ns, ""), signature, None)
        self.known.update(skipped)

    def knows(self, identity: Identity) -> bool:
        same = self.base.execute(f"SELECT 1 FROM pictures WHERE {SAME}", identity._asdict())
        return same.fetchone() is not None

    def saw(self, identity: Identity, signature: Signature) -> None:
        """A known picture was looked at again: a change of its rights, say, makes it no other picture."""
        with self.base:
            self.base.execute(
                f"UPDATE pictures SET ctime_ns = :ctime_ns, size = :size WHERE {SAME}",
                identity._asdict() | signature._asdict(),
            )
        self.known[identity.name] = signature

    def add(self, judged: Sequence[tuple[Identity, Signature, dict[str, Any]]]) -> None:
        """Keeps these, in this order, with a place in each output's queue; all or none."""
        with self.base as base:
            for identity, signature, message in judged:
                number = self._insert(identity, signature, message)
                base.executemany(
                    "INSERT INTO waiting VALUES (?, ?, NULL)", [(output, number) for output in self.outputs]
                )
        self.known.update({identity.name: signature for identity, signature, _ in judged})
        self._since_prune += len(judged)

    def _insert(self, identity: Identity, signature: Signature, message: dict[str, Any] | None) -> int:
        values = (*identity, signature.size, signature.ctime_ns, None if message is None else as_text(message))
        number = self.base.execute("INSERT INTO pictures VALUES (NULL, ?, ?, ?, ?, ?, ?)", values).lastrowid
        assert number is not None
        return number

    def prune(self, present: Collection[tuple[str, int]], *, kept: int = KEPT) -> None:
        """Now and then forgets all but the last `kept` pictures, those `present` in the folder (name, mtime_ns), and
        those that wait for an output. An empty folder may be that of a share that is away: nothing is forgotten."""
        if self._since_prune < PRUNE_EVERY or not present:
            return
        self._since_prune = 0
        with self.base as base:
            (newest,) = base.execute("SELECT coalesce(max(number), 0) FROM pictures").fetchone()
            marks = ", ".join("?" * len(self.outputs))
            base.execute(
                f"DELETE FROM waiting WHERE number <= ? AND (refused IS NOT NULL OR output NOT IN ({marks}))",
                (newest - kept, *self.outputs),
            )
            gone = [(number, name) for number, name, mtime in base.execute(OLD, (newest - kept,)).fetchall()
                    if (name, mtime) not in present]  # fmt: skip
            base.executemany("DELETE FROM pictures WHERE number = ?", [(number,) for number, _ in gone])
            base.execute("DELETE FROM starts WHERE time < (SELECT max(time) FROM starts)")
        self._read_known()
