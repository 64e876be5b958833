"""Folders that a table describes: one of the user's own, CSV or parquet, or VisA's (Zou et al., ECCV 2022).

Columns: image_path, relative to the table or absolute; gt_label (0, 1, or words), or defect_type, or both; and, if
wanted, mask_path and split (train, test).
"""

import io
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastflow.arrange import Item, named
from fastflow.errors import BadData
from fastflow.files import walk
from fastflow.index import GOOD
from pipelines.core.names import counted
from pipelines.data.layouts.classes import DEFECT
from pipelines.data.layouts.reading import Reading, ReadingOptions, set_apart
from pipelines.data.words import word_of

SUFFIXES = (".csv", ".tsv", ".parquet")
NAMES = {
    "image_path": ("image_path", "image", "path", "file", "filename", "file_name", "img", "img_path"),
    "gt_label": ("gt_label", "label", "class", "label_index", "is_anomaly", "anomaly"),
    "defect_type": ("defect_type", "defect", "kind", "anomaly_type"),
    "mask_path": ("mask_path", "mask", "gt", "gt_path", "ground_truth"),
    "split": ("split", "subset", "set", "phase"),
}
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
VISA_SPLIT = "split_csv/1cls.csv"


class Row(NamedTuple):
    """`kind` is good or a kind of defect; `split` train, test or "" for neither."""

    image: Path
    kind: str
    split: str
    mask: Path | None


def find_table(folder: Path) -> Path | None:
    """The table at a folder's top that describes its images, or the file itself. Raises BadData where several do."""
    if folder.is_file():
        return folder if folder.suffix.lower() in SUFFIXES else None
    files = [p for p in sorted(folder.glob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
    tables = [path for path in files if _describes(path)]
    if len(tables) > 1:
        raise BadData(
            f"{', '.join(p.name for p in tables)}: several tables name images; give one: "
            f"fastflow init {shlex.quote(str(tables[0]))}"
        )
    return tables[0] if tables else None


def _describes(path: Path) -> bool:
    try:
        table = load(path)
    except (BadData, OSError):
        return False
    return "image_path" in table and bool({"gt_label", "defect_type", "split"} & set(table)) and len(table) > 0


def load(path: Path) -> pd.DataFrame:
    """All columns as text, by the names above. Raises BadData."""
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path).astype(str)
        else:
            text = io.StringIO(text_of(path.read_bytes()), newline=None)
            table = pd.read_csv(text, dtype=str, keep_default_na=False, sep=None, engine="python")
    except (ValueError, ImportError, pd.errors.ParserError) as error:
        raise BadData(f"{path} is no table that can be read: {error}") from error
    table = table.rename(columns=str)
    columns = {column.strip().casefold(): column for column in table.columns}
    found = {name: columns[known] for name, all_known in NAMES.items() if (known := _first(all_known, columns))}
    return table.rename(columns={column: name for name, column in found.items()})


def text_of(content: bytes) -> str:
    """A table as programs save it: Unicode with or without its mark, or Windows' own code page for Western Europe. A
    wrong guess names files that are not there, and those are refused. Raises ValueError where it is none of these."""
    start = content[:3]
    if encoding := next((encoding for mark, encoding in ENCODINGS.items() if start.startswith(mark)), None):
        return content.decode(encoding)
    if b"\0" in content:
        return content.decode("utf-16-be" if start.startswith(b"\0") else "utf-16-le")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _first(names: tuple[str, ...], columns: dict[str, str]) -> str | None:
    return next((name for name in names if name in columns), None)


def read_table(path: Path, how: ReadingOptions) -> Reading:
    """Raises BadData where a file is missing, a label cannot be understood, or an image is named as two things."""
    table = load(path)
    if "image_path" not in table or not {"gt_label", "defect_type"} & set(table):
        raise BadData(
            f"{path} has the columns {', '.join(map(str, table))}; needed are image_path and gt_label or defect_type"
        )
    known: dict[str, list[Path]] = {}
    for file in walk(path.parent):
        for name in {_composed(file), _composed(file.name)}:
            known.setdefault(name, []).append(file)
    rows = [
        row._replace(image=_there(row.image, known), mask=row.mask and _there(row.mask, known))
        for row in _rows(table, path)
    ]
    return reading_of(rows, f"table {path.name}", path.parent, how)


def _rows(table: pd.DataFrame, path: Path) -> Iterator[Row]:
    for number, row in enumerate(table.to_dict("records"), 2):
        where = f"{path}, line {number}"
        mask = str(row.get("mask_path", "")).strip()
        kind = _kind(str(row.get("gt_label", "")).strip(), str(row.get("defect_type", "")).strip(), where)
        split = word_of(str(row.get("split", "")).strip()).split if row.get("split") else ""
        if row.get("split") and not split:
            raise BadData(f"{where}: split is {row['split']!r}; allowed: train, test, validation or nothing")
        image = path.parent / str(row["image_path"]).strip().replace("\\", "/")
        has_mask = mask and mask.casefold() not in ("nan", "none", "null", "-")
        yield Row(image, kind, split, path.parent / mask.replace("\\", "/") if has_mask else None)


def _there(path: Path, known: dict[str, list[Path]]) -> Path:
    """The file, also where the table has its name in another Unicode form; or the only one of its name below the
    table's folder."""
    if path.is_file():
        return path
    for name in (_composed(path), _composed(path.name)):
        if len(found := known.get(name, [])) == 1:
            return found[0]
    return path


def _composed(path: Path | str) -> str:
    return unicodedata.normalize("NFC", str(path))


def _kind(label: str, defect_type: str, where: str) -> str:
    """What a row says: a number, a word for good or bad, or the kind of defect itself."""
    kind = "" if word_of(defect_type).meaning == "good" or defect_type.casefold() in ("nan", "none") else defect_type
    match label.casefold():
        case "0" | "0.0" | "false":
            good = True
        case "1" | "1.0" | "true":
            good = False
        case "" if defect_type:
            good = not kind
        case "":
            raise BadData(f"{where}: gt_label is empty; allowed: 0 for good, 1 for defective")
        case _:
            good = word_of(label).meaning == "good"
            kind = kind or (label if word_of(label).meaning not in ("good", "bad") else "")
    if good and kind:
        raise BadData(f"{where}: gt_label says good and defect_type says {kind!r}")
    return GOOD if good else (kind or DEFECT).replace("/", "_")


def reading_of(rows: list[Row], layout: str, folder: Path, how: ReadingOptions) -> Reading:
    paths = [path for row in rows for path in (row.image, row.mask) if path]
    if missing := sorted({path for path in paths if not path.is_file()}):
        listed = ", ".join(map(str, missing[:3])) + ", ..." * (len(missing) > 3)
        raise BadData(f"{layout} in {folder} names {counted(len(missing), 'file')} that are not there: {listed}")
    once: dict[Path, Row] = {}
    for row in rows:
        if once.setdefault(row.image, row)[:3] != row[:3]:
            raise BadData(f"{layout} in {folder} names {row.image} twice, and differently")
    masks: dict[Path, tuple[Path, ...]] = {}
    for row in rows:
        if row.mask and row.mask not in masks.get(row.image, ()):
            masks[row.image] = (*masks.get(row.image, ()), row.mask)
    bad = [Item(path, "test", row.kind, masks.get(path, ())) for path, row in once.items() if row.kind != GOOD]
    good = [row for row in once.values() if row.kind == GOOD]
    if not good:
        raise BadData(f"{layout} in {folder} names no good image")
    if any(row.split == "test" for row in good):
        items = [Item(row.image, "test" if row.split == "test" else "train", GOOD) for row in good]
        apart = []
    else:
        items = set_apart([row.image for row in good], how.test_fraction)
        apart = [item.image for item in items if item.split == "test"]
    return Reading(layout, named([*items, *bad], folder), [], {}, apart)


def read_visa(folder: Path, how: ReadingOptions) -> Reading | None:
    """A category of VisA beside its split_csv. Raises BadData where the folder is all of VisA."""
    if (folder / VISA_SPLIT).is_file():
        objects = sorted(path.name for path in folder.iterdir() if (path / "Data/Images").is_dir())
        first = objects[0] if objects else "candle"
        one = shlex.quote(str(folder / first))
        raise BadData(f"{folder} is all of VisA; read one category: fastflow init {one} --name {first}")
    file = folder.parent / VISA_SPLIT
    if not (folder / "Data/Images").is_dir() or not file.is_file():
        return None
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    rows = [
        Row(
            folder.parent / str(row["image"]),
            GOOD if row["label"] == "normal" else "bad",
            str(row["split"]),
            folder.parent / str(row["mask"]) if row["mask"] else None,
        )
        for row in table[table["object"] == folder.name].to_dict("records")
    ]
    return reading_of(rows, "VisA, split of 1cls.csv", folder, how) if rows else None
