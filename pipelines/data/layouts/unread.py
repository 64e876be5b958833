"""Doubts about files beside the images that may say what these are, and are not read."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from fastflow.pairing import pair
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.find import marks_something, not_read
from pipelines.data.layouts.reading import Doubt, quoted, some
from pipelines.data.layouts.tree import Tree
from pipelines.data.layouts.unread_tables import unread_tables

SAY = "with --good GLOB and --defects GLOB for what they say"


class Unread(NamedTuple):
    """`tables` name images; `sidecars`, by their form, are called as images are; `read` are annotations."""

    tables: Sequence[Doubt]
    sidecars: Mapping[str, Sequence[Path]]
    tree: Tree
    read: set[Path]

    def named(self) -> list[str]:
        """What is not read, each in a few words."""
        return [*(_message(form, files, self.tree) for form, files in self.sidecars.items()), *map(str, self.tables)]

    def doubts(self, unsaid: Collection[Path], good: Collection[Path]) -> Iterator[Doubt]:
        """They stop where they may be of images that are good by default or by a glob alone, `unsaid`, or mark those
        that are `good` by their folders' names."""
        yield from (doubt._replace(stops=bool(unsaid)) for doubt in self.tables)
        for form, files in self.sidecars.items():
            marking = [path for path in files if marks_something(path)]
            stops = _may_be_of(files, unsaid, self.tree) or _may_be_of(marking, good, self.tree)
            ignore = f"--ignore {quoted(_glob(files[0], self.tree, self.read))}, {SAY}"
            yield Doubt(_message(form, files, self.tree), ("export them as COCO JSON", ignore), stops=stops)


def unread(tree: Tree, others: Sequence[Path], read: set[Path], *, options: bool) -> Unread:
    """Of the files that are no images; `options`: some say what the files are."""
    sidecars = not_read(tree.images, others, read)
    rest = sorted(set(others) - read.union(*sidecars.values()))
    return Unread(list(unread_tables(tree.images, rest, tree.folder, options=options)), sidecars, tree, read)


def _message(form: str, files: Sequence[Path], tree: Tree) -> str:
    return f"{counted(len(files), 'file')} of {form} called as images, not read: {some(files, tree.folder)}"


def _may_be_of(files: Sequence[Path], images: Collection[Path], tree: Tree) -> bool:
    """Whether a file may belong to one of these images."""
    pairs = pair(tree.images, files, tree.folder) if files and images else None
    return bool(pairs and (set(pairs.masks).union(*pairs.shared.values()) & set(images)))


def _glob(file: Path, tree: Tree, read: set[Path]) -> str:
    """*.txt, or *.png.json where the files have their images' whole names; it names no annotation that is read."""
    whole = plain(file.stem) in {plain(path.name) for path in tree.images}
    glob = f"*{Path(file.stem).suffix if whole else ''}{file.suffix}"
    alike = [path for path in read if fnmatch(plain(path.name), plain(glob))]
    if not alike:
        return glob
    name = file.relative_to(tree.folder)
    return (name if any(path.parent == file.parent for path in alike) else name.with_name(glob)).as_posix()
