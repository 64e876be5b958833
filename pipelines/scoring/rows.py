"""Rows of score files, to text and back: CSV, also as other programs save it, and JSON lines.

A CSV's text is marked where a spreadsheet would otherwise take it for a formula (pipelines/core/spreadsheet.py). JSON
lines hold the text as it is.
"""

import csv
import io
import json
from collections.abc import Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, get_type_hints

from fastflow.errors import BadData
from pipelines.core.spreadsheet import marked
from pipelines.scoring.cells import BOUNDS, cells_of, contradicts, of_json, of_text

VERDICT = {"pred_score", "threshold", "pred_label"}
DELIMITERS = ",;\t"
BOM = "\ufeff"


class Row(NamedTuple):
    """One image's result; `milliseconds` is its share of its batch, without reading the file. Then its appearance
    (`pipelines.data.appearance.Appearance`), and the hash of the file's bytes, which identifies the image, as a name
    may be used again. Then how many regions lie above the pixel threshold, and the area in pixels of the largest,
    without those of fewer pixels than `min_area`; None where nobody looked for regions. `pixel_threshold`: of those."""

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
    sha256: str
    regions: int | None = None
    largest_area: int | None = None
    min_area: int | None = None
    pixel_threshold: float | None = None


R = TypeVar("R", bound=tuple[Any, ...])


class Kind(NamedTuple, Generic[R]):
    """A kind of file: what its rows are, which columns older files do not have, in the order and groups in which they
    were added, and which cells tell rows apart."""

    name: str
    row: type[R]
    added: tuple[tuple[str, ...], ...] = ()
    key: tuple[str, ...] = ("path", "sha256")

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(get_type_hints(self.row))

    @property
    def later(self) -> tuple[str, ...]:
        """All columns that were added."""
        return tuple(chain.from_iterable(self.added))

    @property
    def forms(self) -> list[tuple[str, ...]]:
        """The columns that a file may have, the oldest first."""
        counts = accumulate(map(len, self.added), initial=len(self.fields) - len(self.later))
        return [self.fields[:count] for count in counts]


SCORES = Kind("scores", Row, added=(("regions", "largest_area", "min_area"), ("pixel_threshold",)))


class Dialect(NamedTuple):
    """How a CSV is written: the delimiter, and the end of a row."""

    delimiter: str = ","
    ending: str = "\n"


DEFAULT_DIALECT = Dialect()


class Content(NamedTuple, Generic[R]):
    """The content of a file: its complete rows, their size in bytes, its columns, and how a CSV is written."""

    rows: list[R]
    size: int
    fields: tuple[str, ...]
    dialect: Dialect = DEFAULT_DIALECT


def as_csv(row: tuple[object, ...], dialect: Dialect = DEFAULT_DIALECT) -> str:
    """A line; cells that hold a delimiter or the end of a line are quoted."""
    text = io.StringIO()
    cells = [marked(cell) if isinstance(cell, str) else cell for cell in row]
    csv.writer(text, delimiter=dialect.delimiter, lineterminator="\r\n").writerow(cells)  # so that a lone \r is quoted
    return text.getvalue().removesuffix("\r\n") + dialect.ending


def read_rows(path: Path, *, more: bool = False) -> Content[Row]:
    """A score file's rows, as `read_table`."""
    return read_table(path, SCORES, more=more)


def read_table(path: Path, kind: Kind[R], *, more: bool = False) -> Content[R]:
    """A file's complete rows; an incomplete one at its end, left by a kill, is skipped. `more`: further columns are
    allowed.

    Raises:
        BadData: it is not of this kind, or a row cannot be read; the message names the line and the remedy.
    """
    content = path.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise _another_file(path, kind, f"line {1 + content[: error.start].count(10)} is not UTF-8") from error
        text = content[: error.start].decode()  # killed within a character
    return (_json_lines if path.suffix == ".jsonl" else _csv)(path, text, kind, more)


def _csv(path: Path, text: str, kind: Kind[R], more: bool) -> Content[R]:
    mark = BOM if text.startswith(BOM) else ""
    text = text.removeprefix(BOM)
    head, _, _ = text.partition("\n")
    if "\n" not in text:
        if as_csv(kind.fields).startswith(text):
            return Content([], 0, kind.fields)  # killed in its first line
        raise _another_file(path, kind, "it has no whole line")
    delimiter = max(DELIMITERS, key=head.count)
    dialect = Dialect(delimiter, "\r\n" if head.endswith("\r") else "\n")
    names: list[str] | None = None
    rows, size = [], 0
    for line, cells, end in _records(path, text, delimiter, kind):
        if names is None:
            names = cells
            _check_names(path, names, kind, more)
        else:
            values = dict(zip(names, cells, strict=True)) if len(cells) == len(names) else {}
            rows.append(_row(path, line, values, kind))
        size = end
    if names is None:
        raise _another_file(path, kind, "its first line is empty")
    _refuse_duplicates(path, rows, kind)
    return Content(rows, len((mark + text[:size]).encode()), tuple(names), dialect)


def _records(path: Path, text: str, delimiter: str, kind: Kind[R]) -> Iterator[tuple[int, list[str], int]]:
    """Each complete record with the line in which it begins, and the offset of its end."""
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in io.StringIO(text, newline=""):
            read += len(line)
            yield line

    reader, end, line = csv.reader(lines(), delimiter=delimiter, strict=True), 0, 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if read == len(text) and _torn(text[end:], delimiter, kind):
                return
            raise _unreadable_line(path, line, f"its quotation marks do not fit ({error})") from error
        if cells is None or not text[:read].endswith(("\n", "\r")):
            return
        if cells:
            yield line, cells, read
        end, line = read, reader.line_num + 1


def _torn(tail: str, delimiter: str, kind: Kind[R]) -> bool:
    """Whether an unclosed quotation mark was left by a kill, not by an edit: no complete row follows."""
    lines, whole = tail.split("\n")[1:], set(map(len, kind.forms))
    return not any(len(cells) in whole for cells in csv.reader(lines, delimiter=delimiter))


def _json_lines(path: Path, text: str, kind: Kind[R], more: bool) -> Content[R]:
    mark = BOM if text.startswith(BOM) else ""
    *lines, torn = text.removeprefix(BOM).split("\n")
    begin = '{"path": '
    if not lines and not (begin.startswith(torn) or torn.startswith(begin)):
        raise _another_file(path, kind, "it has no whole line")
    rows: list[R] = []
    names = kind.fields
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _another_file(path, kind, f"line {number} is no JSON") from error
        if not isinstance(values, dict):
            raise _another_file(path, kind, f"line {number} is no JSON object")
        names = tuple(values)
        _check_names(path, list(names), kind, more)
        rows.append(_row(path, number, values, kind))
    _refuse_duplicates(path, rows, kind)
    return Content(rows, len((mark + "".join(f"{line}\n" for line in lines)).encode()), names)


def _check_names(path: Path, names: list[str], kind: Kind[R], more: bool) -> None:
    if tuple(names) not in kind.forms and not (more and set(kind.forms[0]) <= set(names)):
        columns = ", ".join(map(repr, names))[:200]
        raise _another_file(path, kind, f"its columns are {columns}, not {', '.join(kind.fields)}")


def _row(path: Path, line: int, values: dict[str, Any], what: Kind[R]) -> R:
    if not values:
        raise _unreadable_line(path, line, "it has more or fewer cells than columns")
    read, found = of_json if path.suffix == ".jsonl" else of_text, dict[str, Any]()
    for name, cell in cells_of(what.row).items():
        value: Any = values.get(name) if name in what.later else values[name]
        try:
            found[name] = None if cell.optional and value in ("", None) else read(value, cell.kind)
        except (ValueError, TypeError, OverflowError) as error:
            raise _unreadable_line(path, line, f"{name} is {value!r:.80}, which is no {cell.kind.__name__}") from error
        if name in BOUNDS and not BOUNDS[name].holds(found[name]):
            raise _unreadable_line(path, line, f"{name} is {value!r:.80}; allowed: {BOUNDS[name].text}")
    if found.keys() >= VERDICT and contradicts(found["pred_score"], found["threshold"], found["pred_label"]):
        why = "pred_label is {pred_label}, and pred_score {pred_score:g} at the threshold {threshold:g} says the other"
        raise _unreadable_line(path, line, why.format(**found))
    return what.row(**found)


def _refuse_duplicates(path: Path, rows: list[R], kind: Kind[R]) -> None:
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        key = tuple(getattr(row, name) for name in kind.key)
        if key in seen:
            raise BadData(
                f"{path} holds {key[0]} twice, with one content; remove one of the two lines, or name another file"
            )
        seen.add(key)


def _another_file(path: Path, kind: Kind[R], why: str) -> BadData:
    return BadData(f"{path} is no file of {kind.name}; it is left as it is: name another one ({why})")


def _unreadable_line(path: Path, line: int, why: str) -> BadData:
    return BadData(
        f"{path}, line {line} cannot be read: {why}; correct or remove that line, or name another file. "
        "Nothing of it was changed"
    )
