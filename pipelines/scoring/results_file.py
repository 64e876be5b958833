"""Scores on their way to a file: each line is written as soon as it is known; an interrupted file is gone on with."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from fastflow.errors import BadData
from fastflow.files import printable, write_bytes


class Row(NamedTuple):
    """One image's result; `milliseconds` is its share of its batch, without reading the file. The rest is what the
    file looks like: `pipelines.data.appearance.Appearance`."""

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


HEAD, BRACE = ",".join(Row._fields) + "\n", b'{"path": '  # how a file of each kind begins


class ResultsFile:
    """A CSV, or JSON lines by its suffix .jsonl, or CSV on stdout where `path` is None; a context manager.

    `done`: the paths that it holds already; `num_rejected`: how many of them are above the threshold.

    Raises:
        BadData: the file is of another model or threshold, or of another kind.
    """

    def __init__(self, path: Path | None, *, version: str, threshold: float | None = None) -> None:
        self.path, self.name = path, str(path or "stdout")
        self.lines = path is not None and path.suffix == ".jsonl"
        self.done: set[str] = set()
        self.num_rejected = 0
        if path is not None and path.is_file() and path.stat().st_size:
            self._take_up(path, version, threshold)

    def __enter__(self) -> Self:
        self._file: IO[str] = sys.stdout
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", newline="", encoding="utf-8")
        if not self.lines and not self.done and (self.path is None or not self.path.stat().st_size):
            self._write([HEAD])
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

    def _take_up(self, path: Path, version: str, threshold: float | None) -> None:
        """Reads what is there; half a line at the end, left by a kill, is cut off. What is no score file of this model
        at this threshold is not touched."""
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        first = BRACE if self.lines else HEAD.encode()
        if not whole and (first.startswith(content) or (self.lines and content.startswith(first))):
            write_bytes(path, whole)  # killed in its first line
            return
        try:
            found = self._rows(whole.decode())
        except (ValueError, KeyError, AttributeError, csv.Error) as error:
            raise BadData(f"{path} is no file of scores; it is left as it is: name another one") from error
        self._compare(path, "model", {str(row["model"]) for row in found}, version)
        if threshold is not None:
            self._compare(path, "threshold", {float(row["threshold"]) for row in found}, threshold)
        self.done = {str(row["path"]) for row in found}
        self.num_rejected = sum(int(row["pred_label"]) for row in found)
        if whole != content:
            write_bytes(path, whole)

    def _rows(self, text: str) -> list[dict[str, Any]]:
        """The rows of a score file. Raises ValueError, KeyError or csv.Error where it is none."""
        if self.lines:
            found = [json.loads(line) for line in text.splitlines()]
        else:
            table = csv.DictReader(io.StringIO(text, newline=""))
            if tuple(table.fieldnames or ()) != Row._fields:
                raise ValueError("another head")
            found = list(table)
        if not text:
            raise ValueError("half a line of something else")
        if any(row.keys() != set(Row._fields) or None in row.values() for row in found):
            raise ValueError("rows that lack a column")
        if len({row["path"] for row in found}) < len(found):
            raise ValueError("a path twice")
        return found

    @staticmethod
    def _compare(path: Path, what: str, found: set[Any], expected: object) -> None:
        if others := found - {expected}:
            told = ", ".join(sorted(map(str, others)))
            raise BadData(f"{path} holds scores with the {what} {told}, not {expected}: remove it, or name another")
