"""Tables as programs save them, CSV or parquet, with their columns by one set of names."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import DictionaryArray, Table, concat_tables, parquet

from fastflow.errors import BadData

SUFFIXES = (".csv", ".tsv", ".parquet")
NAMES = {
    "image_path": ("image_path", "image", "path", "file", "filename", "file_name", "img", "img_path"),
    "gt_label": ("gt_label", "label", "class", "label_index", "is_anomaly", "anomaly"),
    "defect_type": ("defect_type", "defect", "kind", "anomaly_type"),
    "mask_path": ("mask_path", "mask", "gt", "gt_path", "ground_truth"),
    "split": ("split", "subset", "set", "phase"),
}
NEEDED = "image_path, and gt_label or defect_type"
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
SEPARATORS = ",;\t| "  # the space only where a header has no other
MAX_CELLS, MAX_BYTES = 5_000_000, 250_000_000  # of a parquet file, which may hold a value a million times in few bytes
TITLE_LINES = 5  # that may stand above the columns' names


def load(path: Path) -> pd.DataFrame:
    """All columns as text, by the names above; the index is the line of each row. Raises BadData.

    The columns' own names stay in `attrs`.
    """
    try:
        table = _parquet(path) if path.suffix.lower() == ".parquet" else _rows(text_of(path.read_bytes()))
    except (ValueError, csv.Error) as error:
        raise BadData(f"{path} is no table that can be read: {error}") from error
    table = table.rename(columns=str)
    columns = {column.strip().casefold(): column for column in table.columns}
    found = {name: columns[known] for name, all_known in NAMES.items() if (known := _first(all_known, columns))}
    renamed = table.rename(columns={column: name for name, column in found.items()})
    if renamed.columns.has_duplicates:
        raise BadData(f"{path} has columns whose names are one but for case and spaces: {', '.join(table.columns)}")
    renamed.attrs["columns"] = list(table)
    return renamed


def needs(table: pd.DataFrame) -> str:
    """What a table has and what it needs, of columns."""
    return f"has the columns {', '.join(table.attrs['columns'])}; needed are {NEEDED}"


def describes(table: pd.DataFrame) -> bool:
    """Whether a table names images and says something of them."""
    return "image_path" in table and bool({"gt_label", "defect_type", "split"} & set(table)) and len(table) > 0


def _parquet(path: Path) -> pd.DataFrame:
    try:
        with parquet.ParquetFile(io.BytesIO(path.read_bytes())) as file:
            table: pd.DataFrame = _bounded(file).to_pandas().astype(str)
    except Exception as error:  # on damaged bytes, Arrow raises anything, a lack of memory among it
        raise ValueError(error) from error
    table.index = pd.RangeIndex(1, len(table) + 1)
    return table


def _bounded(file: parquet.ParquetFile) -> Table:
    """Its rows, read in parts that cannot be larger, whatever a value is. Raises ValueError before they fill the
    memory."""
    about = file.metadata
    if about.num_rows * about.num_columns > MAX_CELLS:
        raise ValueError(f"{about.num_rows:,} rows of {about.num_columns} columns; allowed: {MAX_CELLS:,} cells")
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    largest = max((group.total_byte_size for group in groups), default=0)  # no value of it is longer
    held, parts = 0, [file.schema_arrow.empty_table()]
    for part in file.iter_batches(batch_size=min(1000, MAX_BYTES // max(largest, 1) + 1)):
        columns = [one.dictionary_decode() if isinstance(one, DictionaryArray) else one for one in part.columns]
        parts.append(Table.from_arrays(columns, names=part.schema.names))
        if (held := held + parts[-1].nbytes) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes of values; save the columns that name images alone")
    table = concat_tables(parts[1:] or parts)
    table.validate(full=True)  # texts that are none would be found later, where nothing names the file
    return table


def text_of(content: bytes) -> str:
    """A table as programs save it: Unicode with or without its mark, or Windows' own code page for Western Europe. A
    wrong guess names files that are not there, and those are refused. Raises ValueError where it is none of these."""
    start = content[:3]
    if encoding := next((encoding for mark, encoding in ENCODINGS.items() if start.startswith(mark)), None):
        return content.decode(encoding)
    if b"\0" in content[:4]:
        return content.decode("utf-16-be" if start.startswith(b"\0") else "utf-16-le")
    if (at := content.find(b"\0")) >= 0:
        raise ValueError(f"it holds a zero byte at byte {at:,}, which no text has; save it again")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _rows(text: str) -> pd.DataFrame:
    """The rows below the line of the columns' names, which may stand below a title, or below Excel's sep=;."""
    lines = io.StringIO(text, newline=None).read().split("\n")
    skipped = _titles(lines)
    header = lines[skipped] if skipped < len(lines) else ""
    separator = max(SEPARATORS, key=lambda one: (one != " " and header.count(one), header.count(one)))
    rest = (f"{line}\n" for line in lines[skipped:])
    reader = csv.reader(rest, delimiter=separator, skipinitialspace=separator == " ", strict=True)
    columns = [name.strip() for name in next(reader, [])]
    if not any(columns):
        raise ValueError("it is empty")
    while columns and not columns[-1]:  # a separator at the line's end
        columns.pop()
    columns = [name or f"column {number}" for number, name in enumerate(columns, 1)]
    if len(set(columns)) < len(columns):
        raise ValueError(f"two columns have one name: {', '.join(columns)}")
    rows: list[list[str]] = []
    numbers: list[int] = []
    begins = reader.line_num + 1
    for cells in _closed(reader, skipped):
        number, begins = skipped + begins, reader.line_num + 1
        if any(cells[len(columns) :]):
            raise ValueError(
                f"line {number} has {len(cells)} values, and there are {len(columns)} columns; a value that holds "
                f"{separator!r} stands in quotes"
            )
        if any(cell.strip() for cell in cells):
            rows.append([*cells, *[""] * len(columns)][: len(columns)])
            numbers.append(number)
    return pd.DataFrame(rows, columns=columns, index=numbers, dtype=str)


def _closed(reader: Any, skipped: int) -> Iterator[list[str]]:
    """The reader's rows. Raises ValueError that names the line."""
    while True:
        begins = skipped + reader.line_num + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"line {begins} has a quotation mark that is not closed, or in a value: {error}"
            ) from error


def _titles(lines: list[str]) -> int:
    """How many lines stand above the one that names a column of images; none where no line does."""
    for separator in SEPARATORS:
        for number, line in enumerate(lines[:TITLE_LINES]):
            cells = {cell.strip(' "').casefold() for cell in line.split(separator)}
            mixed = separator == " " and any(other in line for other in SEPARATORS[:-1])
            if len(cells) > 1 and cells & set(NAMES["image_path"]) and not mixed:
                return number
    return next((number for number, line in enumerate(lines) if line.strip()), 0)


def _first(names: tuple[str, ...], columns: Mapping[str, str]) -> str | None:
    return next((name for name in names if name in columns), None)
