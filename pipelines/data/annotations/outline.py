"""Outlines of defects as annotation tools write them; polygons are drawn by COCO's own library, which trusts them."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from fastflow.decode import DEFECT, IGNORED, MAX_PIXELS
from pipelines.data.annotations.notes import Notes

MAX_OUTSIDE = 10  # sides of the image that a polygon may lie away from it
MAX_LENGTH = 200  # sides of the image that a polygon may be long, around: it costs memory to draw
MAX_BITS = 60  # of a run length


class Runs(NamedTuple):
    """COCO's run lengths: down the columns of an image of `rows` x `columns`, beginning with zeros."""

    rows: int
    columns: int
    counts: tuple[int, ...]


class Outline(NamedTuple):
    """A defect of an image of `width` x `height`: `polygons` of x, y, x, y, ... in pixels, or `runs`. Made by
    `outline`, which checks them."""

    width: int
    height: int
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: Runs | None = None

    @property
    def level(self) -> int:
        return DEFECT

    @property
    def drawn_on(self) -> tuple[int, int]:
        """Width and height, in pixels, of the image that it was drawn on."""
        return (self.runs.columns, self.runs.rows) if self.runs else (self.width, self.height)

    def drawn(self, width: int, height: int) -> NDArray[np.bool_]:
        """(height, width); an outline of an image of another size is drawn to scale."""
        if self.runs is not None:
            return _filled(self.runs, width, height)
        scale = np.array([width / self.width, height / self.height])
        scaled = [(np.array(polygon).reshape(-1, 2) * scale).ravel().tolist() for polygon in self.polygons]
        if not scaled:
            return np.zeros((height, width), bool)
        parts = coco_mask.frPyObjects(scaled, height, width)
        return np.asarray(coco_mask.decode(coco_mask.merge(parts)) > 0)


def outline(width: int, height: int, polygons: Sequence[Sequence[float]] = (), runs: Runs | None = None) -> Outline:
    """Raises ValueError where it cannot be drawn: no such image, points far from it, runs that do not fill it."""
    require_size(width, height)
    if runs is not None:
        require_size(runs.columns, runs.rows)
        if min(runs.counts, default=0) < 0 or sum(runs.counts) != runs.rows * runs.columns:
            raise ValueError(f"run lengths that do not fill {runs.rows} x {runs.columns} pixels")
    for polygon in polygons:
        _require_near(polygon, width, height)
    return Outline(width, height, tuple(map(tuple, polygons)), runs)


def require_size(width: int, height: int) -> None:
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise ValueError(f"an image of {width} x {height} pixels; allowed: 1 x 1 to {MAX_PIXELS:,} pixels")


def _require_near(polygon: Sequence[float], width: int, height: int) -> None:
    points = [(x / width, y / height) for x, y in zip(polygon[::2], polygon[1::2], strict=True)]
    if not all(-MAX_OUTSIDE <= value <= MAX_OUTSIDE + 1 for point in points for value in point):  # NaN neither
        raise ValueError(f"a point farther than {MAX_OUTSIDE} times the image's size from it")
    if sum(max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in pairwise([*points, points[0]])) > MAX_LENGTH:
        raise ValueError(f"an outline longer than {MAX_LENGTH} times the image's side")


def runs_of(mask: NDArray[np.bool_]) -> Runs:
    """Of a mask (H, W)."""
    flat = np.concatenate([[False], mask.ravel(order="F")])
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]), [mask.size]])
    return Runs(mask.shape[0], mask.shape[1], tuple(map(int, np.diff(edges))))


def unpacked(text: str) -> tuple[int, ...]:
    """COCO's compressed run lengths: five bits a character from `0` on, the lowest first, the sixth where more follow;
    from the fourth on they are differences to the last but one. Raises ValueError where it is none."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > MAX_BITS:
            raise ValueError("compressed run lengths that are none")
        value, shift = value | (code & 31) << shift, shift + 5
        if not code & 32:
            value -= (code >> 4 & 1) << shift  # its sign
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("compressed run lengths that are cut off")
    return tuple(counts)


def _filled(runs: Runs, width: int, height: int) -> NDArray[np.bool_]:
    """Looked up pixel by pixel of the image: the size that runs state may be far larger."""
    ends = np.cumsum(runs.counts)
    rows, columns = np.arange(height) * runs.rows // height, np.arange(width) * runs.columns // width
    found = [np.searchsorted(ends, column * runs.rows + rows, side="right") % 2 == 1 for column in columns]
    return np.stack(found, axis=1)


class IgnoredOutline(Outline):
    """A region that is left out of the evaluation."""

    @property
    def level(self) -> int:
        return IGNORED


class Annotated(NamedTuple):
    """`outlines` of the images that files of annotations list, none for one without a defect; `kinds` the names of
    their defects; `read` those files; `remarks` on them for the user; `notes` what they say beside."""

    outlines: dict[Path, tuple[Outline, ...]]
    kinds: dict[Path, str]
    read: set[Path]
    remarks: list[str]
    notes: Notes

    def add(self, image: Path, outlines: list[Outline], labels: set[str], file: Path) -> None:
        """What a file says of an image; `labels` are the defects' names; several make one kind, a+b."""
        self.notes.files.setdefault(image, []).append(file)
        self.outlines[image] = (*self.outlines.get(image, ()), *outlines)
        known = {label for label in (self.kinds.get(image) or "").split("+") if label}
        self.kinds[image] = "+".join(sorted(known | labels))
