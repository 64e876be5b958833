"""What a folder is read as, as a table for the terminal, and as a file that has every one of its files."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import UnidentifiedImageError

from fastflow.arrange import Item
from fastflow.decode import SUFFIXES
from fastflow.files import printable, write_text
from fastflow.index import GOOD
from fastflow.marks import upright_size
from pipelines.core.spreadsheet import marked
from pipelines.data.layouts.classes import DEFECT
from pipelines.data.layouts.reading import ANNOTATIONS, Reading, some

HEAD = ("what", "images", "masks", "size", "such as")
MAX_KINDS, SIZES_SAMPLED = 15, 200  # rows of defects; images of a row that are opened for their size
MAX_DOUBTS = 20  # that are listed
NAMES_WIDTH_CHARACTERS = 70


class Row(NamedTuple):
    """One line of the table: images or other files of one meaning."""

    what: str
    files: Sequence[Path]
    masks: int | None = None


def rows_of(reading: Reading) -> list[Row]:
    """Good images, each kind of defect, and what is left out, by its reason."""
    good = [item for item in reading.items if item.defect_type == GOOD]
    apart = set(reading.set_apart)
    parts = (
        ("good, to train on", [i for i in good if i.split == "train"]),
        ("good, for the test", [i for i in good if i.split == "test" and i.image not in apart]),
        ("good, set apart for the test", [i for i in good if i.image in apart]),
    )
    rows = [Row(what, sorted(item.image for item in items)) for what, items in parts if items]
    kinds: dict[str, list[Item]] = {}
    for item in sorted((i for i in reading.items if i.defect_type != GOOD), key=lambda item: item.defect_type):
        kinds.setdefault(item.defect_type, []).append(item)
    rows += [
        _of_defects("defect" if kind == DEFECT else f"defect {kind}", items)
        for kind, items in list(kinds.items())[:MAX_KINDS]
    ]
    if more := [item for items in list(kinds.values())[MAX_KINDS:] for item in items]:
        rows.append(_of_defects(f"{len(kinds) - MAX_KINDS} more kinds of defect", more))
    return rows + [Row(left_out(reason), files) for reason, files in reading.left_out.items()]


def left_out(reason: str) -> str:
    return reason if reason == ANNOTATIONS else f"left out: {reason}"


def _of_defects(what: str, items: Sequence[Item]) -> Row:
    return Row(what, [item.image for item in items], sum(len(item.masks) for item in items))


def table(reading: Reading, source: Path) -> str:
    """The reading as lines: a table, then each doubt in a line with the options that settle it."""
    folder = source if source.is_dir() else source.parent
    cells = [HEAD, *(_cells(row, folder) for row in rows_of(reading))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD) - 1)]
    lines = [f"{source}: layout {reading.layout}", ""]
    for line in cells:
        numbers = (f"{value:>{width}}" for value, width in zip(line[1:3], widths[1:3], strict=True))
        lines.append("  ".join([f"{line[0]:<{widths[0]}}", *numbers, f"{line[3]:<{widths[3]}}", line[4]]).rstrip())
    if all(item.defect_type == GOOD for item in reading.items):
        lines += ["", "no defect: training, threshold and report work; metrics that need defects will be null"]
    for title, stops in (("to know:", False), ("TO BE SETTLED:", True)):
        if message := [str(doubt) for doubt in reading.doubts if doubt.stops == stops]:
            lines += ["", title, *(f"  {number}. {text}" for number, text in enumerate(message[:MAX_DOUBTS], 1))]
            lines += [f"  and {len(message) - MAX_DOUBTS:,} more"] * (len(message) > MAX_DOUBTS)
    return printable("\n".join(lines))


def _cells(row: Row, folder: Path) -> tuple[str, str, str, str, str]:
    names = _one_line(some(row.files, folder))
    if len(names) > NAMES_WIDTH_CHARACTERS:
        names = _one_line(some([Path(path.name) for path in row.files], folder))
    names = names if len(names) <= 2 * NAMES_WIDTH_CHARACTERS else names[:NAMES_WIDTH_CHARACTERS] + "..."
    masks = "" if row.masks is None else f"{row.masks:,}" if row.masks else "none"
    return _one_line(row.what), f"{len(row.files):,}", masks, _sizes(row.files), names


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _sizes(files: Sequence[Path]) -> str:
    """Width x height of images, of some of many: one size, or the smallest and the largest."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in files[:: max(1, len(files) // SIZES_SAMPLED)]:
        if path.is_file() and (path.suffix.lower() in SUFFIXES or not path.suffix):  # to open a pipe would wait
            try:
                sizes[upright_size(path)] += 1
            except (OSError, UnidentifiedImageError, ValueError):
                continue
    if not sizes:
        return ""
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    texts = [f"{width}x{height}" for width, height in dict.fromkeys((by_area[0], by_area[-1]))]
    return " to ".join(texts)


def write_list(reading: Reading, folder: Path, path: Path) -> None:
    """A CSV of every file: what it is taken for, where it goes, its masks."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "taken_for", "goes_to", "masks"])
    writer.writerows(map(marked, row) for row in _list_rows(reading, folder))
    write_text(path, printable(text.getvalue()))


def _list_rows(reading: Reading, folder: Path) -> Iterator[tuple[str, str, str, str]]:
    for item in reading.items:
        masks = [_name(mask, folder) if isinstance(mask, Path) else "outline" for mask in item.masks]
        yield _name(item.image, folder), item.defect_type, item.target, " ".join(masks)
    for reason, files in reading.left_out.items():
        yield from ((_name(path, folder), left_out(reason), "", "") for path in files)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
