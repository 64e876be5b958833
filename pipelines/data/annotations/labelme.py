"""labelme's JSON, a file an image beside it: polygons, rectangles, circles, painted masks."""

import base64
import binascii
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastflow.decode import NamedBytes, open_image
from fastflow.errors import BadImage
from fastflow.marks import upright_size
from fastflow.sources import plain
from pipelines.data.annotations.notes import contradiction, flags_of, is_left_out
from pipelines.data.annotations.outline import Annotated, IgnoredOutline, Outline, outline, require_size, runs_of
from pipelines.data.words import word_of

CORNERS = 64  # of the polygon that stands for a circle
Shape = Mapping[str, Any]


def is_labelme(content: object) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def add_labelme(file: Path, content: Shape, by_stem: Mapping[tuple[Path, str], Path], found: Annotated) -> None:
    """The outlines of one image, found by the file's stem, or by the name that stands in it."""
    names = (file.stem, Path(str(content["imagePath"]).replace("\\", "/")).stem)
    image = next((by_stem[file.parent, plain(name)] for name in names if (file.parent, plain(name)) in by_stem), None)
    if image is None:
        found.remarks.append(f"{file.name} is of {content['imagePath']}, which is not beside it")
        return
    width, height = int(content.get("imageWidth") or 0), int(content.get("imageHeight") or 0)
    if not (width and height):
        try:
            width, height = upright_size(image)
        except OSError as error:
            raise ValueError(f"no imageWidth, and {image.name} cannot be read") from error
    require_size(width, height)
    outlines: list[Outline] = []
    labels: set[str] = set()
    for shape in content["shapes"]:
        label = str(shape.get("label") or "defect").replace("/", "_")
        if word_of(label).meaning == "good":
            found.notes.good.add(image)
            continue
        one = _outline(shape, width, height)
        if is_left_out(label):
            found.notes.left_out.add(image)
            outlines += [IgnoredOutline(*one)] if one else []
            continue
        labels.add(label)
        if one is None:
            found.notes.no_area[f"a {shape.get('shape_type') or 'polygon'}"].add(image)
        else:
            outlines.append(one)
    _add_flags(content, image, labels, found)
    found.add(image, outlines, labels, file)
    found.read.add(file)


def _add_flags(content: Shape, image: Path, labels: set[str], found: Annotated) -> None:
    """What the flags of a whole image say: its kind of defect goes to `labels`."""
    flags = flags_of(content.get("flags"))
    if flags.bad and not labels:
        labels.update(name.replace("/", "_") for name in flags.bad)
        found.notes.no_area["a flag"].add(image)
    if unsure := contradiction(flags, labels):
        found.notes.unsure[unsure].add(image)
    elif flags.good:
        found.notes.good.add(image)


def _outline(shape: Shape, width: int, height: int) -> Outline | None:
    points = [(float(x), float(y)) for x, y in shape.get("points", [])]
    match shape.get("shape_type") or "polygon", len(points):
        case "polygon", count if count >= 3:
            return outline(width, height, [[value for point in points for value in point]])
        case "rectangle", 2:
            (x0, y0), (x1, y1) = points
            return outline(width, height, [(x0, y0, x1, y0, x1, y1, x0, y1)])
        case "circle", 2:
            (x, y), rim = points[0], math.dist(*points)
            angles = (2 * math.pi * k / CORNERS for k in range(CORNERS))
            return outline(width, height, [[v for a in angles for v in (x + rim * math.cos(a), y + rim * math.sin(a))]])
        case "mask", 2 if shape.get("mask"):
            return _painted(shape["mask"], points[0], width, height)
    return None


def _painted(text: str, corner: tuple[float, float], width: int, height: int) -> Outline | None:
    """A mask in base64 of PNG, whose upper left corner lies at `corner`; what lies outside of the image is cut off."""
    try:
        piece = np.asarray(open_image(NamedBytes(base64.b64decode(text))).convert("L")) > 0
    except (binascii.Error, BadImage):
        return None
    whole = np.zeros((height, width), bool)
    x, y = (round(value) for value in corner)
    piece = piece[max(0, -y) :, max(0, -x) :]
    part = whole[max(0, y) : max(0, y) + piece.shape[0], max(0, x) : max(0, x) + piece.shape[1]]
    part[:] = piece[: part.shape[0], : part.shape[1]]
    return outline(width, height, runs=runs_of(whole))
