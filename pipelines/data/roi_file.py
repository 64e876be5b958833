"""A region of interest from what a person has: a mask, polygons of labelme's or COCO's JSON, or boxes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastflow.decode import IGNORED, LOSSY_DEFECT_LEVEL, mask_levels, open_image
from fastflow.errors import BadData
from fastflow.frame import Size
from fastflow.roi import Mask
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.coco import add_coco, is_coco, read_json
from pipelines.data.annotations.labelme import add_labelme, is_labelme
from pipelines.data.annotations.notes import no_notes
from pipelines.data.annotations.outline import Annotated, Outline

BEYOND_PIXELS = 1.0  # that a polygon may reach beyond the picture: tools round


class Box(NamedTuple):
    """A rectangle of whole pixels, from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


def box_of(text: str) -> Box:
    """Of 10,20,300,200. Raises ValueError where it is none."""
    parts = text.split(",")
    if len(parts) == 4 and all(part.strip().isdecimal() for part in parts):
        box = Box(*map(int, parts))
        if box.width and box.height:
            return box
    raise ValueError(f"--box is {text!r}; allowed: x,y,width,height in whole pixels, such as 10,20,300,200")


def mask_of_boxes(boxes: Sequence[Box], size: Size) -> Mask:
    """The pixels (H, W) of boxes in pictures of that size. Raises BadData where one is not in the picture."""
    mask = np.zeros(size, bool)
    for x, y, width, height in boxes:
        if x + width > size[1] or y + height > size[0]:
            raise BadData(
                f"the box {x},{y},{width},{height} reaches to x {x + width}, y {y + height}; the pictures are "
                f"{size[1]} pixels wide and {size[0]} high: keep it inside"
            )
        mask[y : y + height, x : x + width] = True
    return mask


def mask_of_file(file: Path) -> Mask:
    """The pixels (H, W) that a mask marks, any value above 0, in a lossy file from 128; or that JSON outlines.

    Raises:
        BadData: it cannot be read, or an outline is of no use.
    """
    if not file.is_file():
        raise BadData(f"{file} does not exist; name a mask (PNG), or JSON of labelme or COCO")
    if file.suffix.lower() == ".json":
        return _outlined(file)
    image = open_image(file)
    return np.asarray(mask_levels(image, file) >= (LOSSY_DEFECT_LEVEL if image.info["lossy"] else 1))


def _outlined(file: Path) -> Mask:
    """All outlines but those called ignore, which are holes; where there are but holes, everything else."""
    outlines = _outlines(file)
    width, height = outlines[0].width, outlines[0].height
    drawn = [(one.level == IGNORED, one.drawn(width, height)) for one in outlines]
    inside = [mask for is_hole, mask in drawn if not is_hole]
    mask = np.any(inside, axis=0) if inside else np.ones((height, width), bool)
    return np.asarray(mask & ~np.any([hole for is_hole, hole in drawn if is_hole] or [np.zeros_like(mask)], axis=0))


def _outlines(file: Path) -> tuple[Outline, ...]:
    """Those of the one picture that has any."""
    content, found = read_json(file), Annotated({}, {}, set(), [], no_notes())
    try:
        if is_coco(content):
            add_coco(file, content, _pictures(file, content), found)
        elif is_labelme(content):
            add_labelme(file, content, {(file.parent, plain(file.stem)): file}, found)
        else:
            raise BadData(f"{file} is neither labelme's JSON nor COCO's; export it as one, or draw a mask (PNG)")
    except BadData:
        raise
    except (AttributeError, LookupError, OverflowError, OSError, TypeError, ValueError) as error:
        raise BadData(f"{file} cannot be read as outlines ({error}); export it again, or draw a mask (PNG)") from error
    if found.notes.no_area:
        raise BadData(f"{file} has {next(iter(found.notes.no_area))}, which has no area; draw polygons or rectangles")
    if found.notes.good:
        raise BadData(f"{file} has a shape whose label means a good part; call it roi")
    outlined = [outlines for outlines in found.outlines.values() if outlines]
    if len(outlined) != 1:
        raise BadData(f"{file} has outlines in {counted(len(outlined), 'picture')}; a region of interest is of one")
    for outline in outlined[0]:
        _require_inside(file, outline)
    return outlined[0]


def _pictures(file: Path, content: dict[str, Any]) -> list[Path]:
    """Those that COCO's JSON names; they need not be there."""
    return [file.parent / str(entry["file_name"]).replace("\\", "/") for entry in content["images"]]


def _require_inside(file: Path, outline: Outline) -> None:
    for polygon in outline.polygons:
        points = np.array(polygon).reshape(-1, 2)
        beyond = np.maximum(-points, points - (outline.width, outline.height)).max(axis=1)
        if beyond.max() > BEYOND_PIXELS:
            x, y = points[beyond.argmax()]
            raise BadData(
                f"{file}: an outline reaches to x {x:g}, y {y:g}, outside of the picture, {outline.width} pixels wide "
                f"and {outline.height} high; draw it inside"
            )
