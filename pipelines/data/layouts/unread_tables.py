"""Files that name the images and may say what they are, but are not read: without them all images would be good."""

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fastflow.errors import BadData
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.coco import read_json
from pipelines.data.annotations.find import MARKS
from pipelines.data.layouts.reading import Doubt, quoted
from pipelines.data.layouts.table_files import SUFFIXES, describes, load, needs
from pipelines.data.words import SPLITS, label_of

BOOKS = (".xlsx", ".xlsm", ".ods")
QUOTED = (".json", ".jsonl", ".ndjson", ".xml")
KNOWN = (*SUFFIXES, *BOOKS, *QUOTED, ".txt", ".xls", ".yaml", ".yml", ".log", ".md", ".dat", ".lst")
SAVE = "save it as CSV whose first line is image_path,gt_label"
MAX_BYTES = 4_000_000  # of a file, looked at
SEVERAL, SEVERAL_STEMS = 2, 3  # images named with their suffix, and without
LINES_WITH_STEMS_FRACTION = 0.5


class Names(NamedTuple):
    """Images by their names and by their stems, as `plain` has them."""

    files: set[str]
    stems: set[str]


def unread_tables(images: Sequence[Path], others: Iterable[Path], folder: Path, *, options: bool) -> Iterator[Doubt]:
    """One doubt a file that names several images and is not read; `options`: some say what the files are."""
    names = Names({plain(path.name) for path in images}, {plain(path.stem) for path in images})
    for path in others:
        name = path.relative_to(folder).as_posix()
        try:
            number = _named(path, names) if path.suffix.lower() in KNOWN else 0
        except (BadData, OSError):
            message = f"{name} cannot be looked into, and may say what the images are"
            yield Doubt(message, (SAVE, f"--ignore {quoted(name)}"))
            continue
        if number:
            why, way = ("options say what the files are", "leave them out") if options else _why(path, folder)
            yield Doubt(
                f"{name} names {counted(number, 'image')} and is not read, as {why}", (way, f"--ignore {quoted(name)}")
            )


def _why(path: Path, folder: Path) -> tuple[str, str]:
    """Why a file is not read, and what makes it so."""
    match path.suffix.lower():
        case suffix if suffix in SUFFIXES:
            try:
                table = load(path)
            except (BadData, OSError) as error:
                return str(error).replace(str(path), "it", 1), "correct it"
            if describes(table) and path.parent != folder:
                return "it does not lie at the folder's top", f"move it there, with image_path relative to {folder}"
            return f"it {needs(table)}", "rename its columns in the first line"
        case ".json":
            try:
                json.loads(path.read_text("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                return f"it is no JSON: {error}", "export it again"
            return "it is JSON of neither COCO nor labelme", SAVE
        case ".xml":
            return "XML is not read", "export it as COCO JSON"
        case suffix:
            return f"{suffix} is not read", SAVE


def _named(path: Path, names: Names) -> int:
    """How many images a file names; 0 for too few, and for a mere list of all, or of a part of a data set."""
    lines = _content(path).splitlines()
    cells_of = _of_xml if path.suffix.lower() == ".xml" else _quoted if path.suffix.lower() in QUOTED else _cells
    words = [{plain(Path(cell.replace("\\", "/")).name) for cell in cells_of(line)} for line in lines]
    found = set[str]().union(*words) & names.files
    marks = path.suffix.lower() in QUOTED and any(MARKS.search(line) for line in lines)
    told = bool(label_of(path.stem)) or marks  # ng.txt needs to name one alone, as a table does
    if len(found) < (1 if told or path.suffix.lower() in (*SUFFIXES, *BOOKS) else min(SEVERAL, len(names.files))):
        found = set[str]().union(*words) & names.stems
        with_stems = sum(bool(line & names.stems) for line in words)
        if len(found) < (1 if told else SEVERAL_STEMS) or with_stems < LINES_WITH_STEMS_FRACTION * len(lines):
            return 0
    text = path.suffix.lower() not in (*QUOTED, *BOOKS)
    alone = text and all(len(_cells(line)) < 2 for line in lines)
    return 0 if alone and (len(found) == len(names.files) or plain(path.stem) in SPLITS) else len(found)


def _cells(line: str) -> set[str]:
    cells = {cell.strip() for cell in re.split(r"[,;\t|\"']", line)}
    return {word.strip(":()") for cell in cells for word in (cell, *cell.split())} - {""}


def _of_xml(line: str) -> set[str]:
    """Values and texts: file='1.png', <filename>1.png</filename>."""
    return _quoted(line) | {text.strip() for found in re.findall(r"'([^']*)'|>([^<>]*)<", line) for text in found}


def _quoted(line: str) -> set[str]:
    return set(re.findall(r"\"([^\"]*)\"", line))


def _content(path: Path) -> str:
    """A file's text, as far as it has some. Raises BadData, OSError."""
    suffix = path.suffix.lower()
    read: Callable[[Path], str] = _book if suffix in BOOKS else _parquet if suffix == ".parquet" else _text
    return read(path)


def _text(path: Path) -> str:
    if path.suffix.lower() == ".json" and (parsed := read_json(path)) is not None:
        with suppress(RecursionError):
            return json.dumps(parsed, ensure_ascii=False)  # names that are escaped
    with path.open("rb") as file:
        content = file.read(MAX_BYTES).replace(b"\0", b"")  # of UTF-16
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _parquet(path: Path) -> str:
    return str(load(path).to_csv(index=False))


def _book(path: Path) -> str:
    """The cells of a workbook, one a line."""
    try:
        with zipfile.ZipFile(path) as book:
            parts = [
                part for part in book.infolist() if re.search(r"(sharedStrings|sheet\d+|content)\.xml$", part.filename)
            ]
            texts = []
            for part in parts:
                with book.open(part) as file:
                    texts.append(file.read(MAX_BYTES).decode(errors="replace"))
    except Exception as error:  # on damaged bytes, and on what is encrypted, zipfile raises anything
        raise BadData(f"{path} cannot be read: {error}") from error
    return "\n".join(text for text in re.split(r"<[^>]*>", "\n".join(texts)) if text.strip())
