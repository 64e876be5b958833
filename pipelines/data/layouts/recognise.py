"""What a folder of images is: its layout by name, and how each of its files is read. Nothing is copied or changed.

Recognised are MVTec AD, AD 2 and LOCO, VisA, BTAD, KolektorSDD and SDD2, DAGM, the magnetic tiles, exports of
Roboflow, CVAT and labelme, a table of one's own, folders by class, and images alone.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastflow.arrange import MAX_STEM_BYTES, Item
from fastflow.errors import BadData
from fastflow.files import is_leftover
from fastflow.index import GOOD
from fastflow.sources import assign, plain
from pipelines.core.names import counted
from pipelines.data.annotations.find import read_annotations, remarks
from pipelines.data.layouts.annotated import annotation_doubts
from pipelines.data.layouts.by_folders import read_folders
from pipelines.data.layouts.mask_doubts import mask_doubts
from pipelines.data.layouts.names import layout_name
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import ANNOTATIONS, Doubt, Reading, ReadingOptions, quoted, some
from pipelines.data.layouts.table_doubts import against_folders, not_named
from pipelines.data.layouts.table_masks import masks_not_named, unnamed_masks
from pipelines.data.layouts.tables import find_table, is_table, read_table, read_visa
from pipelines.data.layouts.tree import Tree, look
from pipelines.data.layouts.unclassified import NEARLY_ALL_FRACTION, WITHOUT_MASK
from pipelines.data.layouts.unread import unread
from pipelines.data.words import word_of


def read_folder(source: Path, how: ReadingOptions) -> Reading:
    """`source` is a folder, or a table that names images.

    Raises:
        BadData: no such folder, no good image in it, a link, or what cannot be read in one way.
    """
    folder = source.parent if is_table(source) else source
    tree = look(folder)
    roles = assign([*tree.images, *tree.foreign, *tree.odd, *tree.others], folder, how.sources)
    globs = any(how.sources._replace(ignore=()))
    ignored = {path for path, role in roles.items() if role == "ignore"}
    table = None if globs else find_table(source, ignored)
    reading = read_table(table, how, ignored) if table else None if globs else read_visa(folder, how, ignored)
    if reading:
        taken = {path for item in reading.items for path in (item.image, *item.masks)}
        rest = [path for path in tree.images if path not in taken.union(*reading.left_out.values())]
        left_out = {**reading.left_out, "not in the table": rest, ANNOTATIONS: [table] if table else []}
        unnamed = [path for path in rest if path not in ignored]
        masks = unnamed_masks(reading.items, unnamed, folder)
        doubts = [*reading.doubts, *masks_not_named(masks, folder)]
        if table:
            doubts += against_folders(reading.items, source, table)
            doubts += not_named(reading.items, sorted(set(unnamed) - set(masks)), source, table)
        reading = reading._replace(left_out=left_out, doubts=doubts)
    else:
        reading = _by_folders(tree, how, roles)
    _check_names(reading.items, folder)
    reading = reading._replace(items=[item._replace(page=how.pixels.page) for item in reading.items])
    return reading._replace(
        doubts=[*reading.doubts, *mask_doubts(reading.items, folder, how.rule), *_doubts_of_files(tree, roles)],
        left_out={reason: files for reason, files in _left_out(tree, roles, reading).items() if files},
    )


def _check_names(items: Sequence[Item], folder: Path) -> None:
    """Raises BadData where a kind of defect cannot be a folder's name."""
    for item in items:
        if (size := len(item.defect_type.encode())) > MAX_STEM_BYTES:
            raise BadData(
                f"{item.image.relative_to(folder) if item.image.is_relative_to(folder) else item.image}: its kind of "
                f"defect, {item.defect_type[:40]!r}..., has {size} bytes and becomes a folder's name; allowed: "
                f"{MAX_STEM_BYTES}; shorten it in the table, the annotations or the folder's name"
            )


def _by_folders(tree: Tree, how: ReadingOptions, roles: Mapping[Path, str]) -> Reading:
    others = [path for path in tree.others if roles.get(path) != "ignore"]
    said = read_annotations([path for path in tree.images if roles.get(path) not in ("ignore", "masks")], others)
    options = any(how.sources._replace(ignore=()))
    beside = unread(tree, others, said.read, options=options)
    reading, places = read_folders(tree, how, roles, said, beside.named())
    name = layout_name(tree, places, said=any(how.sources))
    if said.read:
        tool = "Roboflow, " if any(path.name == "_annotations.coco.json" for path in said.read) else ""
        name = f"{tool}{name} with the outlines of {counted(len(said.read), 'JSON file')}"
    doubts = [*reading.doubts, *_notes(reading.items, places, roles)]
    if name == "DAGM":  # whose good images have no mask
        doubts = [doubt._replace(stops=doubt.stops and WITHOUT_MASK not in doubt.text) for doubt in doubts]
    if said.remarks:
        doubts.append(Doubt(remarks(said), (), stops=False))
    good = {item.image for item in reading.items if item.defect_type == GOOD}
    by_name = {path for path in good if places[path].good_at}
    unsaid = good - by_name - set(said.kinds) if name != "DAGM" else set()
    doubts += [*annotation_doubts(said, reading.items, places, roles), *beside.doubts(unsaid, by_name)]
    left_out = {**reading.left_out, ANNOTATIONS: sorted(said.read)}
    return reading._replace(layout=name, doubts=doubts, left_out=left_out)


def _notes(items: Sequence[Item], places: Places, roles: Mapping[Path, str]) -> Iterator[Doubt]:
    """Notes that need no decision."""
    held = [i.image for i in items if i.defect_type == GOOD and places[i.image].split == "validation"]
    if held and not set(held) & set(roles):
        message = f"{counted(len(held), 'good image')} set apart for validation, trained on as the others are"
        yield Doubt(message, (f"--ignore {quoted(f'{_split_folder(held[0], places)}/**')}",), stops=False)
    called = word_of(places.folder.name)
    unsaid = all(i.defect_type == GOOD and i.image not in roles and not places[i.image].words for i in items)
    if unsaid and called.exact and called.meaning in ("bad", "defect", "masks"):
        message = f"{counted(len(items), 'image')} taken as good, in a folder called {places.folder.name}"
        yield Doubt(message, ("read the folder above it", "--good '**'"))
    stems = Counter((i.image.parent, plain(i.image.stem)) for i in items if i.defect_type == GOOD)
    alike = [i.image for i in items if i.defect_type == GOOD and stems[i.image.parent, plain(i.image.stem)] > 1]
    if alike:
        message = f"{counted(len(alike), 'good image')} called alike but for the suffix, kept on one side of the split"
        suffixes = sorted({path.suffix for path in alike})
        copies = len(suffixes) > 1 and len(alike) >= NEARLY_ALL_FRACTION * sum(stems.values())
        ignore = [f"--ignore {quoted(f'*{suffix}')}" for suffix in suffixes if copies]
        options = (*ignore, "remove one of each where they are copies")
        yield Doubt(f"{message}: {some(sorted(alike), places.folder)}", options, stops=copies)
    bad = [i.image for i in items if i.defect_type != GOOD and places[i.image].split in ("train", "validation")]
    if bad:
        message = f"{counted(len(bad), 'defective image')} in a folder of training, used for the test"
        yield Doubt(message, (), stops=False)


def _split_folder(path: Path, places: Places) -> str:
    parts = path.relative_to(places.folder).parts[:-1]
    return next((part for part in parts if places[places.folder / part / "x"].split), parts[0])


def _doubts_of_files(tree: Tree, roles: Mapping[Path, str]) -> list[Doubt]:
    foreign = [path for path in tree.foreign if roles.get(path) != "ignore"]
    doubts = []
    for suffix in sorted({path.suffix.lower() for path in foreign}):
        files = [path for path in foreign if path.suffix.lower() == suffix]
        message = f"{counted(len(files), f'{suffix} file')} of a format that is not read: {some(files, tree.folder)}"
        doubts.append(Doubt(message, ("convert to PNG", f"--ignore {quoted(f'*{suffix}')}")))
    if empty := _empty(tree.folder):
        message = f"{counted(len(empty), 'folder')} without a file: {some(empty, tree.folder)}"
        doubts.append(Doubt(message, (), stops=False))
    return doubts


def _empty(folder: Path) -> list[Path]:
    return sorted(Path(place) for place, names, files in os.walk(folder) if not names and not files)


def _left_out(tree: Tree, roles: Mapping[Path, str], reading: Reading) -> dict[str, list[Path]]:
    ignored = sorted(path for path, role in roles.items() if role == "ignore")
    gone = set(ignored)
    rest = {reason: [path for path in files if path not in gone] for reason, files in reading.left_out.items()}
    rest["formats that are not read"] = [path for path in tree.foreign if path not in gone]
    rest["no plain files"] = [path for path in tree.odd if path not in gone]
    read = set(rest.get(ANNOTATIONS, ()))
    rest["other files"] = [path for path in tree.others if path not in gone | read]
    rest["by --ignore"] = ignored
    rest["hidden, or left by a system"] = _hidden(tree.folder)
    return rest


def _hidden(folder: Path) -> list[Path]:
    found = []
    for place, _, files in os.walk(folder):
        inside = any(is_leftover(part) for part in Path(place).relative_to(folder).parts)
        found += [Path(place, name) for name in files if inside or is_leftover(name)]
    return sorted(found)
