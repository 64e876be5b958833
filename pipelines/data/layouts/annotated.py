"""Doubts about annotations that are read: labels that may be no defects, files that contradict one another, nothing
annotated at all."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from fastflow.arrange import Item
from fastflow.index import GOOD
from pipelines.core.names import counted
from pipelines.data.annotations.outline import Annotated
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import Doubt, quoted, some
from pipelines.data.words import label_of, tokens, word_of

NO_DEFECTS = {"roi", "region", "object", "item", "component", "workpiece", "whole", "area"}  # beside a folder's words
AGAIN = "with --good GLOB and --defects GLOB for what the images are"


def annotation_doubts(
    said: Annotated, items: Sequence[Item], places: Places, roles: Mapping[Path, str]
) -> Iterator[Doubt]:
    """`roles` are what the user said of some images."""
    folder, good = places.folder, sorted(item.image for item in items if item.defect_type == GOOD)
    by_folder = {item.image for item in items if item.defect_type != GOOD or places[item.image].good_at}
    said_so = by_folder - {path for path, kind in said.kinds.items() if kind}
    yield from _of_images(said, said_so.union(roles), folder)
    yield from _of_labels(said, folder)
    yield from _several_files(said, folder)
    by_annotations = [path for path in good if path in said.kinds and path not in roles and not places[path].good_at]
    if by_annotations and not any(said.kinds.values()) and not said.notes.good:
        yield Doubt(
            f"no image is annotated in {some(sorted(said.read), folder)}, and {len(by_annotations):,} taken as good so",
            ("export them again when the images are labelled", f"--ignore {_one(said.read, folder)}, {AGAIN}"),
        )
    named = [p for p in by_annotations if p not in said.notes.good and label_of(p.stem) not in ("", GOOD)]
    yield from _of_good(named, "called after a defect, and without an annotation", folder, settled_by_good=True)
    masked = {item.image for item in items if item.masks}
    marked = [path for path in good if said.kinds.get(path) and path not in masked and not _drawn(said, path)]
    yield from _of_good(marked, "good by a folder or an option, and annotated as a defect without an area", folder)


def _drawn(said: Annotated, path: Path) -> bool:
    """Whether an outline is there, which is asked about as a mask is."""
    return bool(said.outlines.get(path))


def _of_good(paths: Sequence[Path], why: str, folder: Path, *, settled_by_good: bool = False) -> Iterator[Doubt]:
    if paths:
        one = quoted(paths[0].relative_to(folder).as_posix())
        message = f"{counted(len(paths), 'image')} {why}, taken as good: {some(paths, folder)}"
        good = [f"--good {one}"] if settled_by_good else []
        yield Doubt(message, (f"--defects {one}", *good, f"--ignore {one}"))


def _of_images(said: Annotated, known: set[Path], folder: Path) -> Iterator[Doubt]:
    """`known`: images of which folders or options say what they are."""
    for why, images in sorted(said.notes.unsure.items()):
        if rest := sorted(images - known):
            one = quoted(rest[0].relative_to(folder).as_posix())
            taken = "a defect" if said.kinds.get(rest[0]) else "good"
            message = f"{counted(len(rest), 'image')} {why}, taken as {taken}: {some(rest, folder)}"
            yield Doubt(message, ("correct the flags", f"--good {one}", f"--defects {one}", f"--ignore {one}"))
    for what, images in sorted(said.notes.no_area.items()):
        files = sorted(images)
        message = f"{counted(len(files), 'image')} with {what}, which marks no area: defects, their mask without it"
        yield Doubt(f"{message}: {some(files, folder)}", (), stops=False)
    if said.notes.left_out:
        files = sorted(said.notes.left_out)
        message = f"{counted(len(files), 'image')} with a region to be ignored, left out of a defect's mask"
        yield Doubt(f"{message}, and trained on in a good image: {some(files, folder)}", (), stops=False)


def _of_labels(said: Annotated, folder: Path) -> Iterator[Doubt]:
    """Labels that may name the part, and no defect of it."""
    images: dict[str, set[Path]] = defaultdict(set)
    for path, kinds in said.kinds.items():
        for kind in filter(None, kinds.split("+")):
            images[kind].add(path)
    for label, those in sorted(images.items()):
        if label_of(label) or not (why := _why_no_defect(label, those, images)):
            continue
        message = f"{counted(len(those), 'image')} with the label {label}, {why}, taken as defects"
        files = {file for path in those for file in said.notes.files[path]}
        ways = ("take that label out of the file", f"--ignore {_one(files, folder)}, {AGAIN}")
        yield Doubt(f"{message}: {some(sorted(those), folder)}", ways)


def _why_no_defect(label: str, those: set[Path], images: Mapping[str, set[Path]]) -> str:
    if word_of(label).meaning in ("filler", "unclear") or set(tokens(label)) & NO_DEFECTS:
        return "which may be no defect"
    inner = [other for other, several in images.items() if len(several) > 1 and several < those]
    return f"which every image with {inner[0]} has, and others too" if inner else ""


def _several_files(said: Annotated, folder: Path) -> Iterator[Doubt]:
    """Files that say something of the same images: an old export beside a new one."""
    count = Counter(tuple(sorted(set(files))) for files in said.notes.files.values() if len(set(files)) > 1)
    for files, number in sorted(count.items())[:1]:
        more = f", and {len(count) - 1:,} more such groups of files" if len(count) > 1 else ""
        message = f"{some(files, folder)} annotate the same {counted(number, 'image')}, united{more}"
        yield Doubt(message, tuple(f"--ignore {_one([file], folder)}" for file in files))


def _one(files: Collection[Path], folder: Path) -> str:
    """A glob of these files, by the first's name where they are several."""
    first = min(files)
    name = first.relative_to(folder).as_posix() if len(files) == 1 else f"*{first.suffix}"
    return quoted(name)
