"""Rows of score files, to text and back: CSV, also as other programs save it, and JSON lines.

A CSV's text begins with a quote mark ' where a spreadsheet would otherwise take it for a formula (=, +, -, @), or where
it begins with one itself; reading takes it away. JSON lines hold the text as it is.
"""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from fastflow.errors import BadData

FORMULA_PREFIXES = tuple("=+-@\t\r'")  # starts of formulas, and the mark of text
DELIMITERS = ",;\t"
BOM = "\ufeff"


class Row(NamedTuple):
    """One image's result; `milliseconds` is its share of its batch, without reading the file. Then its appearance
    (`pipelines.data.appearance.Appearance`), and the hash of the file's bytes, which identifies the image, as a name
    may be used again."""

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


TYPES = get_type_hints(Row)


class Dialect(NamedTuple):
    """How a CSV is written: the delimiter, and the end of a row."""

    delimiter: str = ","
    ending: str = "\n"


DEFAULT_DIALECT = Dialect()


class ScoreFile(NamedTuple):
    """The content of a file: its complete rows, their size in bytes, and how a CSV is written."""

    rows: list[Row]
    size: int
    dialect: Dialect = DEFAULT_DIALECT


def as_csv(row: tuple[object, ...], dialect: Dialect = DEFAULT_DIALECT) -> str:
    """A line; cells that hold a delimiter or the end of a line are quoted."""
    text = io.StringIO()
    cells = [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_PREFIXES) else cell for cell in row]
    csv.writer(text, delimiter=dialect.delimiter, lineterminator="\r\n").writerow(cells)  # so that a lone \r is quoted
    return text.getvalue().removesuffix("\r\n") + dialect.ending


def read_rows(path: Path, *, more: bool = False) -> ScoreFile:
    """A score file's complete rows; an incomplete one at its end, left by a kill, is skipped. `more`: further columns
    are allowed.

    Raises:
        BadData: it is not a score file, or a row cannot be read; the message names the line and the remedy.
    """
    content = path.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise _not_a_score_file(path, f"line {1 + content[: error.start].count(10)} is not UTF-8") from error
        text = content[: error.start].decode()  # killed within a character
    return (_json_lines if path.suffix == ".jsonl" else _csv)(path, text, more)


def _csv(path: Path, text: str, more: bool) -> ScoreFile:
    mark = BOM if text.startswith(BOM) else ""
    text = text.removeprefix(BOM)
    head, _, _ = text.partition("\n")
    if "\n" not in text:
        if as_csv(Row._fields).startswith(text):
            return ScoreFile([], 0)  # killed in its first line
        raise _not_a_score_file(path, "it has no whole line")
    delimiter = max(DELIMITERS, key=head.count)
    dialect = Dialect(delimiter, "\r\n" if head.endswith("\r") else "\n")
    names: list[str] | None = None
    rows, size = [], 0
    for line, cells, end in _records(path, text, delimiter):
        if names is None:
            names = cells
            _check_names(path, names, more)
        else:
            rows.append(_row(path, line, dict(zip(names, cells, strict=True)) if len(cells) == len(names) else {}))
        size = end
    if names is None:
        raise _not_a_score_file(path, "its first line is empty")
    _refuse_duplicates(path, rows)
    return ScoreFile(rows, len((mark + text[:size]).encode()), dialect)


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str], int]]:
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
            if read == len(text) and _torn(text[end:], delimiter):
                return
            raise _unreadable_line(path, line, f"its quotation marks do not fit ({error})") from error
        if cells is None or not text[:read].endswith(("\n", "\r")):
            return
        if cells:
            yield line, cells, read
        end, line = read, reader.line_num + 1


def _torn(tail: str, delimiter: str) -> bool:
    """Whether an unclosed quotation mark was left by a kill, not by an edit: no complete row follows."""
    lines = tail.split("\n")[1:]
    return not any(len(cells) == len(Row._fields) for cells in csv.reader(lines, delimiter=delimiter))


def _json_lines(path: Path, text: str, more: bool) -> ScoreFile:
    mark = BOM if text.startswith(BOM) else ""
    *lines, torn = text.removeprefix(BOM).split("\n")
    begin = '{"path": '
    if not lines and not (begin.startswith(torn) or torn.startswith(begin)):
        raise _not_a_score_file(path, "it has no whole line")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_a_score_file(path, f"line {number} is no JSON") from error
        if not isinstance(values, dict):
            raise _not_a_score_file(path, f"line {number} is no JSON object")
        _check_names(path, list(values), more)
        rows.append(_row(path, number, values))
    _refuse_duplicates(path, rows)
    return ScoreFile(rows, len((mark + "".join(f"{line}\n" for line in lines)).encode()))


def _check_names(path: Path, names: list[str], more: bool) -> None:
    if names != list(Row._fields) and not (more and set(Row._fields) <= set(names)):
        raise _not_a_score_file(
            path, f"its columns are {', '.join(map(repr, names))[:200]}, not {', '.join(Row._fields)}"
        )


def _row(path: Path, line: int, values: dict[str, Any]) -> Row:
    """Cells of their types: text of a CSV is converted."""
    if not values:
        raise _unreadable_line(path, line, "it has more or fewer cells than columns")
    found: dict[str, Any] = {}
    for name, kind in TYPES.items():
        value = values[name]
        try:
            if kind is str:
                found[name] = value.removeprefix("'") if path.suffix != ".jsonl" else str(value)
            else:
                found[name] = kind(value)
            if kind is float and not math.isfinite(found[name]):
                raise ValueError("not finite")
        except (ValueError, TypeError, OverflowError) as error:
            raise _unreadable_line(path, line, f"{name} is {value!r}, which is no {kind.__name__}") from error
    return Row(**found)


def _refuse_duplicates(path: Path, rows: list[Row]) -> None:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.path, row.sha256) in seen:
            raise BadData(
                f"{path} holds {row.path} twice, with one content; remove one of the two lines, or name another file"
            )
        seen.add((row.path, row.sha256))


def _not_a_score_file(path: Path, why: str) -> BadData:
    return BadData(f"{path} is no file of scores; it is left as it is: name another one ({why})")


def _unreadable_line(path: Path, line: int, why: str) -> BadData:
    return BadData(
        f"{path}, line {line} cannot be read: {why}; correct or remove that line, or name another file. "
        "Nothing of it was changed"
    )
