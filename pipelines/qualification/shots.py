"""Photographs of known parts, several of each: what a folder says of part and operator."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fastflow.decode import SUFFIXES, image_files
from fastflow.errors import BadData
from fastflow.files import file_sha256, printable
from pipelines.data.words import Word, word_of

NAMED = 3  # files that a message lists


class Shot(NamedTuple):
    """One photograph of a part. `operator`: who, or which station, took it; empty where the folder names none. Both
    as they can be written."""

    operator: str
    part: str
    path: Path
    sha256: str


def shots_of_study(folder: Path) -> list[Shot]:
    """Of `<part>/<shot>.png`, or `<operator>/<part>/<shot>.png`, by operator, part and name.

    Raises:
        BadData: no folder, no image, another or a mixed layout, folders that are classes, or the same photograph twice.
    """
    paths = images_in(folder)
    depths = Counter(len(path.relative_to(folder).parts) for path in paths)
    if len(depths) > 1 or not set(depths) <= {2, 3}:
        found = ", ".join(f"{count} at depth {depth}" for depth, count in sorted(depths.items()))
        raise BadData(
            f"{folder}: images are {found}; allowed: all in <part>/<shot>.png, or all in <operator>/<part>/<shot>.png: "
            "a folder for each part, with its shots in it"
        )
    operators = ["" if len(path.relative_to(folder).parts) == 2 else path.parent.parent.name for path in paths]
    parts = [path.parent.name for path in paths]
    if classes := sorted({part for part in parts if word_of(part) in (Word("good"), Word("bad"))}):
        raise BadData(
            f"{folder}: {listed(classes)} is called as a class is, whose pictures show different parts; make a folder "
            "for each part, with shots of that part alone, under another name"
        )
    return without_copies(_hashed(operators, parts, paths))


def shots_of_masters(folder: Path) -> list[Shot]:
    """Of `<part>.png`, or `<part>/<shot>.png`, by part and name; no operator.

    Raises:
        BadData: no folder, no image, images in deeper folders, or the same photograph twice.
    """
    paths = images_in(folder)
    deep = [path for path in paths if len(path.relative_to(folder).parts) > 2]
    if deep:
        raise BadData(f"{folder}: {listed(deep)} lie too deep; allowed: <part>.png, or <part>/<shot>.png")
    parts = [path.stem if path.parent == folder else path.parent.name for path in paths]
    return without_copies(_hashed([""] * len(paths), parts, paths))


def images_in(folder: Path) -> list[Path]:
    """Raises BadData where there is no such folder, or no image in it."""
    if not folder.is_dir():
        raise BadData(f"{folder} is no folder; name one that holds photographs, a folder for each part")
    if not (found := image_files(folder)):
        raise BadData(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    return found


def without_copies(shots: Sequence[Shot]) -> list[Shot]:
    """Raises BadData where two files have the same content: a copy is no second shot."""
    first: dict[str, Shot] = {}
    for shot in shots:
        if (twin := first.setdefault(shot.sha256, shot)) is not shot:
            raise BadData(
                f"{twin.path} and {shot.path} are the same photograph, byte for byte; a copy says nothing of the "
                "camera: photograph the part again, or remove one"
            )
    return list(shots)


def listed(paths: Sequence[object]) -> str:
    """Such as: a.png, b.png, c.png and 4 more."""
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return ", ".join(map(str, paths[:NAMED])) + more


def _hashed(operators: Sequence[str], parts: Sequence[str], paths: Sequence[Path]) -> list[Shot]:
    with ThreadPoolExecutor() as pool:
        names = (map(printable, one) for one in (operators, parts))
        made = map(Shot, *names, paths, pool.map(file_sha256, paths))
        return sorted(made, key=lambda shot: (shot.operator, shot.part, shot.path.name))
