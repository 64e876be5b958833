"""Scores to a file: each line is written as soon as it is known; an interrupted file is resumed."""

import fcntl
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fastflow.errors import BadData
from fastflow.files import file_sha256, printable
from pipelines.core.lock import LockHeld
from pipelines.scoring.rows import DEFAULT_DIALECT, Row, as_csv, read_rows


class ResultsFile:
    """A CSV, or JSON lines by its suffix .jsonl, or CSV on stdout where `path` is None; a context manager, inside of
    which no other process writes to it.

    `done`: the names in it, each with the hashes of the content that was scored; `num_rejected`: how many rows
    are above the threshold.

    Raises:
        BadData: the file is of another model or threshold, or of another kind, or has a line that cannot be read.
        LockHeld: another process writes to it.
    """

    def __init__(self, path: Path | None, *, version: str, threshold: float | None = None) -> None:
        self.path, self.name = path, str(path or "stdout")
        self.version, self.threshold = version, threshold
        self.lines = path is not None and path.suffix == ".jsonl"
        self.dialect = DEFAULT_DIALECT
        self.done: dict[str, set[str]] = {}
        self.num_rejected = 0
        self._file: IO[str] = sys.stdout

    def __enter__(self) -> Self:
        size = 0
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", newline="", encoding="utf-8")
            try:
                size = self._resume(self.path)
            except BaseException:
                self._file.close()
                raise
        if not self.lines and not size:
            self._write([as_csv(Row._fields)])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.path is not None:
            self._file.close()  # and releases the lock

    def holds(self, path: str) -> bool:
        """Whether there is a row for an image with its present content; a file that was overwritten since has none."""
        hashes = self.done.get(printable(path))
        return hashes is not None and Path(path).is_file() and file_sha256(Path(path)) in hashes

    def add(self, rows: Sequence[Row]) -> None:
        new = []
        for row in (row._replace(path=printable(row.path)) for row in rows):
            if row.sha256 not in self.done.setdefault(row.path, set()):  # a file may come back as it was
                self.done[row.path].add(row.sha256)
                new.append(self._line(row))
        self._write(new)

    def _line(self, row: Row) -> str:
        return json.dumps(row._asdict()) + "\n" if self.lines else as_csv(row, self.dialect)

    def _write(self, lines: Sequence[str]) -> None:
        self._file.write("".join(lines))
        self._file.flush()

    def _resume(self, path: Path) -> int:
        """Locks the file and reads its rows; an incomplete line at the end, left by a kill, is cut off. A file that is
        not of this model at this threshold is not changed. Returns the bytes that stay."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"{path} is being written by another process; wait for it, or name another file") from None
        if not path.stat().st_size:
            return 0
        found = read_rows(path)
        self._compare(path, "model", {row.model for row in found.rows}, self.version)
        if self.threshold is not None:
            self._compare(path, "threshold", {row.threshold for row in found.rows}, self.threshold)
        self.dialect = found.dialect
        for row in found.rows:
            self.done.setdefault(row.path, set()).add(row.sha256)
        self.num_rejected = sum(row.pred_label for row in found.rows)
        self._file.truncate(found.size)
        return found.size

    @staticmethod
    def _compare(path: Path, what: str, found: set[Any], expected: object) -> None:
        if others := found - {expected}:
            listed = ", ".join(sorted(map(str, others)))
            raise BadData(f"{path} holds scores with the {what} {listed}, not {expected}: remove it, or name another")
