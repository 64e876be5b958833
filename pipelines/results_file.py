"""Scores on their way to a file: each line is written as soon as it is known; an interrupted file is gone on with."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from fastflow.errors import BadData
from fastflow.files import printable, write_bytes


class Row(NamedTuple):
    """One image's result; `milliseconds` is its share of its batch, without reading the file. The rest is what the
    file looks like: `pipelines.appearance.Appearance`."""

    path: str
    pred_score: float
    pred_label: int
    threshold: float
    model: str
    milliseconds: float
    width: int
    height: int
    brightness: float
    contrast: float
    sharpness: float


class ResultsFile:
    """A CSV, or JSON lines by its suffix .jsonl, or CSV on stdout where `path` is None; a context manager.

    `done`: the paths that it holds already.

    Raises:
        BadData: the file is of another model, or of another kind.
    """

    def __init__(self, path: Path | None, *, version: str) -> None:
        self.path, self.name = path, str(path or "stdout")
        self.lines = path is not None and path.suffix == ".jsonl"
        self.done: set[str] = set()
        if path is not None and path.is_file() and path.stat().st_size:
            self._take_up(path, version)

    def __enter__(self) -> Self:
        self._file: IO[str] = sys.stdout
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", newline="", encoding="utf-8")
        if not self.lines and not self.done and (self.path is None or not self.path.stat().st_size):
            self._write([",".join(Row._fields) + "\n"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.path is not None:
            self._file.close()

    def add(self, rows: Sequence[Row]) -> None:
        self._write([self._line(row._replace(path=printable(row.path))) for row in rows])

    def _line(self, row: Row) -> str:
        if self.lines:
            return json.dumps(row._asdict()) + "\n"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        return text.getvalue()

    def _write(self, lines: Sequence[str]) -> None:
        self._file.write("".join(lines))
        self._file.flush()

    def _take_up(self, path: Path, version: str) -> None:
        """Reads what is there; half a line at the end, left by a kill, is cut off."""
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            text = whole.decode()
            found = (
                [json.loads(line) for line in text.splitlines()]
                if self.lines
                else list(csv.DictReader(io.StringIO(text, newline="")))
            )
            others = {row["model"] for row in found} - {version}
            self.done = {row["path"] for row in found if row.keys() >= set(Row._fields)}
            if len(self.done) < len(found):
                raise ValueError("rows that lack a column, or a path twice")
        except (ValueError, KeyError, csv.Error) as error:
            raise BadData(f"{path} holds something else than scores ({error!r}); name another file") from error
        if others:
            raise BadData(f"{path} holds scores of {', '.join(sorted(others))}, not of {version}; name another file")
        if whole != content:
            write_bytes(path, whole)
