"""What a folder is read as, before anything is copied: its images, its doubts, and what is left out."""

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fastflow.arrange import Item, split_good
from fastflow.decode import AS_MEANT
from fastflow.marks import MaskRule
from fastflow.pixels.meaning import PixelRule
from fastflow.sources import Sources
from pipelines.core.progress import progress

ANNOTATIONS = "annotations, read"  # the reason in `Reading.left_out` of files that were read as annotations


class Doubt(NamedTuple):
    """What could be read differently, in one line, and the options that settle it; `stops` where it changes the result
    so much that the user must decide."""

    text: str
    options: tuple[str, ...]
    stops: bool = True

    def __str__(self) -> str:
        return f"{self.text}: {' or '.join(self.options)}" if self.options else self.text


class ReadingOptions(NamedTuple):
    """The user's options for reading a folder: globs, the meaning of masks, the fraction of good images for the test,
    and how image files become pixels."""

    sources: Sources = Sources()
    rule: MaskRule = MaskRule()
    test_fraction: float = 0.2
    pixels: PixelRule = AS_MEANT


DEFAULT_OPTIONS = ReadingOptions()


class Reading(NamedTuple):
    """`layout` is what it was recognised as; `left_out` files by the reason; `set_apart` good images for the test."""

    layout: str
    items: Sequence[Item]
    doubts: Sequence[Doubt]
    left_out: Mapping[str, Sequence[Path]]
    set_apart: Sequence[Path] = ()


def set_apart(good: Sequence[Path], test_fraction: float) -> list[Item]:
    """Good images into train and test, as `split_good`, with a progress bar: it reads each file."""
    with progress("reading", len(good), unit="image") as advance:
        return split_good(good, test_fraction, on_image=advance)


def some(paths: Sequence[Path], folder: Path, *, most: int = 3) -> str:
    """Such as: a.png, b.png, c.png and 7 more; relative to the folder."""
    names = [path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path) for path in paths[:most]]
    return ", ".join(names) + (f" and {len(paths) - most:,} more" if len(paths) > most else "")


def glob_of(folder: Path, place: Path, others: Iterable[Path] = ()) -> str:
    """A glob, quoted for the shell, of all that lies in a place of the folder; of its files alone where one of the
    `other` places lies in it."""
    end = "*" if any(place in other.parents for other in others) else "**"
    return quoted(f"{glob.escape(place.relative_to(folder).as_posix())}/{end}" if place != folder else "/*")


def pattern_of(name: str) -> str:
    """A glob of files called alike: x[0-9]*.png."""
    return re.sub(r"\d+", "[0-9]*", glob.escape(name))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
