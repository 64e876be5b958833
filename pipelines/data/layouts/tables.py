"""Folders that a table describes: one of the user's own, CSV or parquet, or VisA's (Zou et al., ECCV 2022).

Columns: image_path, relative to the table or absolute; gt_label (0, 1, or words), or defect_type, or both; and, if
wanted, mask_path and split (train, test).
"""

import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastflow.arrange import Item, named
from fastflow.errors import BadData
from fastflow.index import GOOD
from pipelines.core.names import counted
from pipelines.data.data_sets import visa_split
from pipelines.data.layouts.reading import Reading, ReadingOptions, set_apart, some
from pipelines.data.layouts.table_doubts import of_columns, of_empty, of_flags
from pipelines.data.layouts.table_files import SUFFIXES, describes, load, needs
from pipelines.data.layouts.table_labels import ALLOWED, FLAGS, is_empty, kind_of_row
from pipelines.data.layouts.table_masks import masks_of_good
from pipelines.data.layouts.table_places import Files
from pipelines.data.words import word_of

VISA_SPLIT = "split_csv/1cls.csv"
SPLITS = ("train", "test", "validation")
MAX_NAME_BYTES, MAX_PATH_CHARACTERS = 255, 1000


class Row(NamedTuple):
    """`kind` is good or a kind of defect; `split` train, test or "" for neither."""

    image: Path
    kind: str
    split: str
    mask: Path | None


def is_table(path: Path) -> bool:
    """Whether a path is a file that can be a table."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def find_table(source: Path, ignored: Collection[Path] = ()) -> Path | None:
    """The table at a folder's top that describes its images, or the file itself. Raises BadData where several do."""
    if source.is_file():
        return source if is_table(source) else None
    files = [path for path in sorted(source.glob("*")) if is_table(path) and path not in ignored]
    tables = [path for path in files if _describes(path)]
    if len(tables) > 1:
        raise BadData(
            f"{some(tables, source)}: several tables name images; give one: "
            f"fastflow init {shlex.quote(str(tables[0]))}, or --ignore the others"
        )
    return tables[0] if tables else None


def _describes(path: Path) -> bool:
    try:
        table = load(path)
    except (BadData, OSError):
        return False
    return describes(table)


def read_table(path: Path, how: ReadingOptions, ignored: Collection[Path] = ()) -> Reading:
    """Without the files that are `ignored`.

    Raises:
        BadData: a file is missing, a label cannot be understood, or an image is named as two things.
    """
    table = load(path)
    if "image_path" not in table or not {"gt_label", "defect_type"} & set(table):
        raise BadData(f"{path} {needs(table)}")
    if "gt_label" not in table and set(table["defect_type"].str.strip().str.casefold()) <= set(FLAGS):
        table = table.rename(columns={"defect_type": "gt_label"})  # such as defect: 0, 1
    filled = _without_empty(table)
    every = _found(list(_rows(filled, path)), path.parent)
    rows = _without(ignored, every)
    if rows and all(row.kind != GOOD for row in rows):
        raise BadData(f"{path} names no good image; found are {_values(table)}; {ALLOWED}")
    reading = reading_of(rows, f"table {path.name}", path.parent, how)
    images = [row.image for row in every]
    doubts = [*reading.doubts, *of_empty(table, images, path, ignored), *of_flags(table, reading.items, path)]
    doubts += of_columns(table, path)
    return reading._replace(doubts=doubts)


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Good where defect_type is the only label and is empty."""
    if "gt_label" in table:
        return table
    return table.assign(defect_type=table["defect_type"].where(~table["defect_type"].str.strip().map(is_empty), GOOD))


def _without(ignored: Collection[Path], rows: list[Row]) -> list[Row]:
    kept = [row for row in rows if row.image not in ignored]
    return [row._replace(mask=None) if row.mask in ignored else row for row in kept]


def _found(rows: list[Row], folder: Path) -> list[Row]:
    """The rows with the files that they mean: no image is what another row has as its mask, and the other way round."""
    files = Files(folder)
    masks = {row.mask for row in rows if row.mask}
    images = files.find({row.image for row in rows}, never=masks, masks=False)
    masks_at = files.find(masks, never=set(images.values()), masks=True)
    return [row._replace(image=images[row.image], mask=row.mask and masks_at[row.mask]) for row in rows]


def _values(table: pd.DataFrame) -> str:
    """Such as: label 1 (10), -1 (3)."""
    columns = [column for column in ("gt_label", "defect_type") if column in table]
    counts = {column: Counter(table[column].str.strip()).most_common(5) for column in columns}
    return "; ".join(
        f"{column} {', '.join(f'{v!r} ({n:,})' for v, n in several)}" for column, several in counts.items()
    )


def _rows(table: pd.DataFrame, path: Path) -> Iterator[Row]:
    for number, row in zip(table.index, table.to_dict("records"), strict=True):
        where = f"{path}, line {number}"
        mask = str(row.get("mask_path", "")).strip()
        kind = kind_of_row(str(row.get("gt_label", "")).strip(), str(row.get("defect_type", "")).strip(), where)
        split = word_of(str(row.get("split", "")).strip()).split if row.get("split") else ""
        if row.get("split") and split not in SPLITS:
            raise BadData(f"{where}: split is {row['split']!r}; allowed: train, test, validation or nothing")
        has_mask = mask and mask.casefold() not in ("nan", "none", "null", "-")
        image = _file(str(row["image_path"]).strip(), path, where)
        yield Row(image, kind, split, _file(mask, path, where) if has_mask else None)


def _file(name: str, table: Path, where: str) -> Path:
    path = Path(name.replace("\\", "/"))
    if max(map(len, map(os.fsencode, path.parts)), default=0) > MAX_NAME_BYTES or len(name) > MAX_PATH_CHARACTERS:
        raise BadData(f"{where}: {name[:40]!r}... is longer than the name of a file can be")
    return table.parent / path


def reading_of(rows: list[Row], layout: str, folder: Path, how: ReadingOptions) -> Reading:
    paths = [path for row in rows for path in (row.image, row.mask) if path]
    if missing := sorted({path for path in paths if not path.is_file()}):
        listed = ", ".join(map(str, missing[:3])) + ", ..." * (len(missing) > 3)
        alike = Files(folder).alike(missing[0])
        there = f"; called alike: {some(alike, folder)}" if alike else ""
        raise BadData(f"{layout} in {folder} names {counted(len(missing), 'file')} that are not there: {listed}{there}")
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
    of_good = {row.image: masks[row.image] for row in good if row.image in masks}
    doubts = list(masks_of_good(of_good, folder, how.rule))
    left_out = {"masks of good images": [mask for several in of_good.values() for mask in several]}
    return Reading(layout, named([*items, *bad], folder), doubts, left_out, apart)


def read_visa(folder: Path, how: ReadingOptions, ignored: Collection[Path] = ()) -> Reading | None:
    """A category of VisA beside its split_csv. Raises BadData where the folder is all of VisA."""
    if (folder / VISA_SPLIT).is_file():
        objects = sorted(path.name for path in folder.iterdir() if (path / "Data/Images").is_dir())
        first = objects[0] if objects else "candle"
        one = shlex.quote(str(folder / first))
        raise BadData(f"{folder} is all of VisA; read one category: fastflow init {one} --name {first}")
    file = folder.parent / VISA_SPLIT
    if not (folder / "Data/Images").is_dir() or not file.is_file():
        return None
    rows = [
        Row(
            _file(row.image, folder, str(file)),
            GOOD if row.label == "normal" else "bad",
            row.split,
            _file(row.mask, folder, str(file)) if row.mask else None,
        )
        for row in visa_split(file)
        if row.object == folder.name
    ]
    rows = _without(ignored, rows)
    return reading_of(rows, "VisA, split of 1cls.csv", folder, how) if rows else None
