"""Scores to a file: each line is written as soon as it is known; an interrupted file is resumed."""

import fcntl
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, Self

from fastflow.errors import BadData
from fastflow.files import file_sha256, printable
from pipelines.core.lock import LockHeld
from pipelines.scoring.rows import DEFAULT_DIALECT, SCORES, Kind, R, Row, as_csv, read_table


class TableFile(Generic[R]):
    """A CSV, or JSON lines by its suffix .jsonl, or CSV on stdout where `path` is None; a context manager, inside of
    which no other process writes to it. `same`: what all rows have in common, by column.

    Raises:
        BadData: the file is of another kind, or a line cannot be read, or what is to be the same is not.
        LockHeld: another process writes to it.
    """

    def __init__(self, path: Path | None, kind: Kind[R], *, same: Mapping[str, object]) -> None:
        self.path, self.name, self.kind = path, str(path or "stdout"), kind
        self.same = same
        self.lines = path is not None and path.suffix == ".jsonl"
        self.dialect, self.fields = DEFAULT_DIALECT, kind.fields
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
            self._write([as_csv(self.fields)])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.path is not None:
            self._file.close()  # and releases the lock

    def append(self, rows: Sequence[R]) -> None:
        """Writes rows, with the columns that the file has."""
        self._write([self._line(row) for row in rows])

    def known(self, row: R) -> None:
        """Takes note of a row that the file holds already."""
        raise NotImplementedError

    def _line(self, row: R) -> str:
        cells = row[: len(self.fields)]
        return (
            json.dumps(dict(zip(self.fields, cells, strict=True))) + "\n" if self.lines else as_csv(cells, self.dialect)
        )

    def _write(self, lines: Sequence[str]) -> None:
        self._file.write("".join(lines))
        self._file.flush()

    def _resume(self, path: Path) -> int:
        """Locks the file and reads its rows; an incomplete line at the end, left by a kill, is cut off. A file that is
        of something else is not changed. Returns the bytes that stay."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"{path} is being written by another process; wait for it, or name another file") from None
        if not path.stat().st_size:
            return 0
        found = read_table(path, self.kind)
        for column, expected in self.same.items():
            unknown = {None} if column in self.kind.later else set()  # older rows do not say it
            self._compare(path, column, {getattr(row, column) for row in found.rows} - unknown, expected)
        self.dialect, self.fields = found.dialect, found.fields
        for row in found.rows:
            self.known(row)
        self._file.truncate(found.size)
        return found.size

    def _compare(self, path: Path, what: str, found: set[Any], expected: object) -> None:
        if others := found - {expected}:
            listed = ", ".join(sorted(map(str, others)))
            raise BadData(
                f"{path} holds {self.kind.name} with the {what} {listed}, not {expected}: remove it, or name another"
            )


class ResultsFile(TableFile[Row]):
    """Scores of one model at one threshold, and with regions of one least area above one
    threshold of pixels; None: these do not matter.

    `done`: the names in it, each with the hashes of the content that was scored; `regions`: how many each has, by name
    and hash; `num_rejected`: how many rows are above the threshold.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        version: str,
        threshold: float | None = None,
        min_area: int | None = None,
        pixel_threshold: float | None = None,
    ) -> None:
        same = {
            "model": version, "threshold": threshold, "min_area": min_area, "pixel_threshold": pixel_threshold,
        }  # fmt: skip
        super().__init__(path, SCORES, same={name: value for name, value in same.items() if value is not None})
        self.done: dict[str, set[str]] = {}
        self.regions: dict[tuple[str, str], int | None] = {}
        self.num_rejected = 0

    def known(self, row: Row) -> None:
        self.done.setdefault(row.path, set()).add(row.sha256)
        self.regions[row.path, row.sha256] = row.regions
        self.num_rejected += row.pred_label

    def holds(self, path: str) -> bool:
        """Whether there is a row for an image with its present content; a file that was overwritten since has none."""
        hashes = self.done.get(printable(path))
        return hashes is not None and Path(path).is_file() and file_sha256(Path(path)) in hashes

    def add(self, rows: Sequence[Row]) -> None:
        new = []
        for row in (row._replace(path=printable(row.path)) for row in rows):
            if row.sha256 not in self.done.setdefault(row.path, set()):  # a file may come back as it was
                self.done[row.path].add(row.sha256)
                new.append(row)
        self.append(new)
