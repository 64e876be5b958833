"""Doubts about a table: it says other than the folders do, leaves images out, or could be meant the other way round."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pandas as pd

from fastflow.arrange import Item
from fastflow.index import GOOD
from pipelines.core.names import counted
from pipelines.data.layouts.classes import DEFECT, shared_names
from pipelines.data.layouts.places import Place, Places
from pipelines.data.layouts.reading import Doubt, glob_of, quoted, some
from pipelines.data.layouts.table_files import NAMES
from pipelines.data.layouts.table_labels import FLAGS, is_empty, is_good, says_good
from pipelines.data.words import tokens, word_of

EITHER_WAY = {"gt_label", "label", "class", "label_index"}  # columns whose 1 may mean good; is_anomaly's does not
NAMED = 3  # files that a doubt has an option for


def against_folders(items: Sequence[Item], source: Path, table: Path) -> Iterator[Doubt]:
    """A doubt where images that a table calls good lie in folders of defects, or the other way round; `source` is what
    is read, the table or its folder."""
    places = Places(table.parent)
    inside = [item for item in items if item.image.is_relative_to(table.parent)]
    shared = shared_names([places[item.image].names for item in inside])
    good = [i.image for i in inside if i.defect_type == GOOD and _said(places[i.image], shared) == "bad"]
    bad = [i.image for i in inside if i.defect_type != GOOD and _said(places[i.image], shared) == "good"]
    if good or bad:
        said = [f"{counted(len(good), 'image')} good by it in folders of defects"] if good else []
        said += [f"{counted(len(bad), 'image')} defective by it in folders of good ones"] if bad else []
        message = f"{table.name} says other than the folders, and is believed: {' and '.join(said)}"
        files = some(sorted([*good, *bad]), table.parent)
        yield Doubt(f"{message} ({files})", (*_folders_decide(source, table), "correct the table"))


def _said(place: Place, shared: int) -> str:
    """What the folders of an image say: good, bad, or "" for neither or both; those that all images have in common may
    be called after the product, or after the collection."""
    own = [
        "bad" if word.meaning == "defect" else word.meaning
        for number, word in enumerate(place.words)
        if word.meaning == "good" or (word.exact and number >= shared and word.meaning in ("bad", "defect"))
    ]
    return own[0] if len(set(own)) == 1 else ""


def _in_bad(image: Path, folder: Path) -> bool:
    return image.is_relative_to(folder) and _said(Places(folder)[image], 0) == "bad"


def not_named(items: Sequence[Item], rest: Sequence[Path], source: Path, table: Path) -> Iterator[Doubt]:
    """A doubt where a table does not name `rest`, which lie below its folder and are not called as masks."""
    folder, places = table.parent, Places(table.parent)
    files = [path for path in rest if not (places[path].masks or _called_mask(path))]
    if files:
        message = f"{counted(len(files), 'image')} that {table.name} does not name, left out: {some(files, folder)}"
        ignore = " ".join(f"--ignore {glob}" for glob in _globs(files, {item.image.parent for item in items}, folder))
        decide = _folders_decide(source, table) if any(_said(places[path], 0) for path in files) else ()
        yield Doubt(message, (*filter(None, (ignore,)), *decide, "name them in the table"))


def _called_mask(path: Path) -> bool:
    return any(word_of(token).meaning in ("masks", "maybe_masks") for token in tokens(path.stem)[-1:])


def _globs(files: Sequence[Path], listed: Collection[Path], folder: Path) -> list[str]:
    """What names these files and none of those in the `listed` places; none where it would be a long list."""
    alone = sorted({path.parent for path in files} - set(listed))
    mixed = [quoted(path.relative_to(folder).as_posix()) for path in files if path.parent in listed]
    globs = [*(glob_of(folder, place, listed) for place in alone), *mixed]
    return globs if len(globs) <= NAMED else []


def _folders_decide(source: Path, table: Path) -> tuple[str, ...]:
    """The option that leaves a table unread."""
    ignore = f"--ignore {quoted(table.name)}"
    return (f"fastflow init {shlex.quote(str(table.parent))} {ignore}" if source == table else ignore,)


def of_empty(table: pd.DataFrame, images: Sequence[Path], path: Path, ignored: Collection[Path]) -> Iterator[Doubt]:
    """A doubt where the only label is empty in some rows, and says good in others; `images` are the rows'."""
    if "gt_label" in table:
        return
    labels = table["defect_type"].str.strip()
    empty = [image for image, label in zip(images, labels, strict=True) if is_empty(label) and image not in ignored]
    good = next((label for label in labels if label.casefold() == "none" or is_good(label, "")), "")
    if empty and good:
        message = f"{counted(len(empty), 'image')} without a value in {path.name}, where others say {good!r}"
        options = ("write what they are", *_ignored(empty, path.parent))
        yield Doubt(f"{message}, taken as good: {some(empty, path.parent)}", options)


def _ignored(files: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """The option that leaves out a few files of the folder."""
    if len(files) > NAMED or not all(path.is_relative_to(folder) for path in files):
        return ()
    return (" ".join(f"--ignore {quoted(path.relative_to(folder).as_posix())}" for path in files),)


def of_columns(table: pd.DataFrame, path: Path) -> Iterator[Doubt]:
    """A doubt where a second column of labels, one that says good of some, contradicts the one that is read."""
    said = [says_good(label) for label in table.get("gt_label", ())]
    known = {name.strip().casefold() for name in table.attrs["columns"]}
    first = next((name for name in NAMES["gt_label"] if name in known), "")
    for column in (c for c in map(str, table) if c.strip().casefold() in NAMES["gt_label"] and c != "gt_label"):
        other = [says_good(label) for label in table[column]]
        lines = [n for n, a, b in zip(table.index, said, other, strict=True) if None not in (a, b) and a != b]
        if lines and True in other:
            message = f"{path.name}: the columns {first} and {column.strip()} contradict one another in line {lines[0]}"
            more = f", and in {len(lines) - 1:,} more" if len(lines) > 1 else ""
            yield Doubt(f"{message}{more}; {first} is read", ("correct them, or remove the one that is no label",))


def of_flags(table: pd.DataFrame, items: Sequence[Item], path: Path) -> Iterator[Doubt]:
    """A doubt where 0 and 1, or false and true, make more images defective than good, and nothing else says so."""
    bad = [item for item in items if item.defect_type != GOOD]
    columns = {column.strip().casefold() for column in table.attrs["columns"]}
    if len(bad) <= len(items) / 2 or "gt_label" not in table or not columns & EITHER_WAY:
        return
    flags = Counter(table["gt_label"].str.strip())
    told = any(item.masks or item.defect_type != DEFECT or _in_bad(item.image, path.parent) for item in bad)
    if not told and set(map(str.casefold, flags)) <= set(FLAGS):
        lows = [(flag, flag.casefold() in FLAGS[:3]) for flag, _ in flags.most_common()]
        zero = next((flag for flag, low in lows if low), FLAGS[0])
        one = next((flag for flag, low in lows if not low), FLAGS[-1])
        message = (
            f"{path.name}: {zero} taken as good, {counted(len(items) - len(bad), 'image')}, and {one} as defective"
        )
        yield Doubt(
            f"{message}, {counted(len(bad), 'image')}: {some([item.image for item in bad], path.parent)}",
            (f"where {one} means good, write good for {one} and bad for {zero}, else the other way round",),
        )
