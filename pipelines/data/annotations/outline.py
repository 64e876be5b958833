"""Outlines of defects as annotation tools write them, drawn by COCO's own library."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask


class Outline(NamedTuple):
    """A defect of an image of `width` x `height`: `polygons` of x, y, x, y, ... in pixels, or `rle` as COCO has it."""

    width: int
    height: int
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: Any = None

    def drawn(self, width: int, height: int) -> NDArray[np.bool_]:
        """(height, width); an outline of an image of another size is drawn to scale."""
        if self.rle is not None:
            return self._run_lengths(width, height)
        scale = np.array([width / self.width, height / self.height])
        scaled = [(np.array(polygon).reshape(-1, 2) * scale).ravel().tolist() for polygon in self.polygons]
        if not scaled:
            return np.zeros((height, width), bool)
        parts = coco_mask.frPyObjects(scaled, height, width)
        return np.asarray(coco_mask.decode(coco_mask.merge(parts)) > 0)

    def _run_lengths(self, width: int, height: int) -> NDArray[np.bool_]:
        rows, columns = self.rle["size"]
        counts = self.rle["counts"]
        packed: Any = coco_mask.frPyObjects(self.rle, rows, columns) if isinstance(counts, list) else self.rle
        pixels = coco_mask.decode(packed) > 0
        if (rows, columns) == (height, width):
            return np.asarray(pixels)
        return np.asarray(pixels[np.arange(height) * rows // height][:, np.arange(width) * columns // width])


class Annotated(NamedTuple):
    """`outlines` of the images that files of annotations list, none for one without a defect; `kinds` the names of
    their defects; `read` those files; `remarks` on them for the user."""

    outlines: dict[Path, tuple[Outline, ...]]
    kinds: dict[Path, str]
    read: set[Path]
    remarks: list[str]

    def add(self, image: Path, outlines: list[Outline], labels: set[str]) -> None:
        """`labels` are the defects' names; several make one kind, a+b."""
        self.outlines[image] = (*self.outlines.get(image, ()), *outlines)
        known = {label for label in (self.kinds.get(image) or "").split("+") if label}
        self.kinds[image] = "+".join(sorted(known | labels))
