"""Doubts about what is taken as good: several folders that could be it, and what a glob of --good takes along."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastflow.sources import Sources, plain
from pipelines.core.names import counted
from pipelines.data.layouts.places import Place, Places
from pipelines.data.layouts.reading import Doubt, quoted, some
from pipelines.data.words import word_of

NOT_GOOD = ("bad", "defect", "masks")  # what a folder's name says of images that --good hardly means


def doubts_of_good(good: Sequence[Path], places: Places) -> list[Doubt]:
    """More than one folder beside one another that could be the good ones, and good ones of several products or
    versions; `good` are so by their folders' names."""
    count: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    sets: dict[tuple[str, ...], Path] = {}
    for path in good:
        place = places[path]
        at = place.good_at[0]
        count[place.split, *place.names[:at]][place.names[at]] += 1
        parts = path.relative_to(places.folder).parts[: _good_depth(path, places)]
        sets.setdefault(_unlike(parts), places.folder.joinpath(*parts))
    doubts = []
    for names in (names for names in count.values() if len(names) > 1):
        listed = ", ".join(f"{name} ({number:,})" for name, number in names.items())
        every = " ".join(f"--good {quoted(f'{name}/**')}" for name in names)
        other = quoted(f"{max(names, key=len)}/**")
        options = (every, f"--defects {other}", f"--ignore {other}")
        doubts.append(Doubt(f"more than one folder could be the good one, all taken as good: {listed}", options))
    if len(sets) > 1:
        folders = [sets[key] for key in sorted(sets)]
        message = f"good images lie in {len(sets)} folders ({some(folders, places.folder)}), taken as one product"
        inner = next(folder for folder in folders if folder != places.folder)
        doubts.append(Doubt(message, (f"fastflow init {shlex.quote(str(inner))} --name ...",)))
    return doubts


def _good_depth(path: Path, places: Places) -> int:
    """How many folders lie above the one that says good."""
    parts = path.relative_to(places.folder).parts[:-1]
    return next((depth for depth, part in enumerate(parts) if word_of(part).meaning == "good"), len(parts))


def _unlike(names: Sequence[str]) -> tuple[str, ...]:
    """What tells products, views, or versions of the same images apart: neither parts of the data set nor days; of
    images_1 and images_2 no number."""
    own = ((plain(name), word_of(name).meaning) for name in names)
    told = (
        name.strip("0123456789-_. ") if meaning == "filler" else name
        for name, meaning in own
        if meaning not in ("split", "number")
    )
    return tuple(filter(None, told))


def taken_along(good: Sequence[Path], places: Places, globs: Sources, shared: int) -> Iterator[Doubt]:
    """Folders called after defects or masks that a glob of --good takes along without naming them; `shared`: so many
    names all images have in common."""
    named = {plain(part) for glob in (*globs.good, *globs.test_good) for part in glob.split("/")}
    found: dict[Path, list[Path]] = defaultdict(list)
    for path in good:
        if (root := _not_good(places[path], path, places.folder, shared)) and plain(root.name) not in named:
            found[root].append(path)
    for root, files in sorted(found.items()):
        glob = quoted(f"{root.relative_to(places.folder).as_posix()}/**")
        message = f"{counted(len(files), 'image')} in {root.relative_to(places.folder)}/ taken as good by --good"
        other = "--masks" if word_of(root.name).meaning == "masks" else "a --good without it, and --defects"
        options = (f"{other} {glob}", f"--ignore {glob}", f"--good {glob}")
        yield Doubt(f"{message}: {some(files, places.folder)}", options)


def _not_good(place: Place, path: Path, folder: Path, shared: int) -> Path | None:
    """The folder above an image whose name says that it is no good one."""
    own = {
        plain(name)
        for name, word in zip(place.names[shared:], place.words[shared:], strict=True)
        if word.meaning in NOT_GOOD
    }
    if place.masks == "masks":
        return folder / place.mask_root
    return next((p for p in path.parents if p.is_relative_to(folder) and p != folder and plain(p.name) in own), None)
