"""COCO's JSON, as Roboflow, CVAT, Label Studio and others export it: polygons, run lengths, or boxes alone."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.outline import Annotated, Outline
from pipelines.data.words import word_of

Entry = Mapping[str, Any]


def read_json(file: Path) -> Any:
    """A file's content; None where it is no JSON."""
    try:
        return json.loads(file.read_text("utf-8-sig"))
    except (ValueError, OSError):
        return None


def is_coco(content: object) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def add_coco(file: Path, content: Entry, images: Sequence[Path], found: Annotated) -> None:
    """The outlines of one JSON file; what it names and is not there is remarked."""
    by_name = _by_name(images)
    good = {c["id"]: word_of(str(c["name"])).meaning == "good" for c in content.get("categories", []) if "id" in c}
    names = {c["id"]: str(c["name"]).replace("/", "_") for c in content.get("categories", []) if "id" in c}
    of_image: dict[Any, list[Entry]] = defaultdict(list)
    for annotation in content["annotations"]:
        of_image[annotation.get("image_id")].append(annotation)
    missing, boxes = 0, 0
    for entry in content["images"]:
        image = _find(str(entry.get("file_name", "")), file, by_name)
        if image is None:
            missing += 1
            continue
        outlines, labels = [], set()
        for annotation in of_image[entry.get("id")]:
            category = annotation.get("category_id")
            outline = _outline(annotation, entry)
            if outline and not good.get(category, False):
                boxes += not annotation.get("segmentation")
                outlines.append(outline)
                labels.add(names.get(category, "defect"))
        found.add(image, outlines, labels)
    found.read.add(file)
    if missing:
        found.remarks.append(f"{file.name} lists {counted(missing, 'image')} that are not in the folder")
    if boxes:
        found.remarks.append(f"{file.name} has {counted(boxes, 'box')} without an outline: their masks are rectangles")


def _outline(annotation: Entry, image: Entry) -> Outline | None:
    width, height = int(image.get("width") or 0), int(image.get("height") or 0)
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        return Outline(width or shape["size"][1], height or shape["size"][0], rle=shape)
    polygons = tuple(tuple(map(float, polygon)) for polygon in shape or [] if len(polygon) >= 6)
    if not polygons and annotation.get("bbox"):
        x, y, w, h = map(float, annotation["bbox"])
        polygons = ((x, y, x + w, y, x + w, y + h, x, y + h),)
    return Outline(width, height, polygons) if polygons and width and height else None


def _by_name(images: Sequence[Path]) -> dict[str, list[Path]]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_name[plain(image.name)].append(image)
    return by_name


def _find(name: str, file: Path, by_name: Mapping[str, list[Path]]) -> Path | None:
    """The image that a name means: beside the file, below it or beside its folder, the nearest first."""
    parts = Path(name.replace("\\", "/")).parts
    candidates = by_name.get(plain(parts[-1]), []) if parts else []
    same_tail = [path for path in candidates if path.parts[-len(parts) :] == parts] or candidates

    def nearness(path: Path) -> int:
        return sum(a == b for a, b in zip(path.parts[:-1], file.parts[:-1], strict=False))

    return max(same_tail, key=nearness, default=None)
