"""COCO's JSON, as Roboflow, CVAT, Label Studio and others export it: polygons, run lengths, or boxes alone."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastflow.errors import BadData
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.notes import is_left_out
from pipelines.data.annotations.outline import Annotated, IgnoredOutline, Outline, Runs, outline, unpacked
from pipelines.data.words import SPLITS, tokens, word_of

Entry = Mapping[str, Any]


def read_json(file: Path) -> Any:
    """A file's content; None where it is no JSON."""
    try:
        return json.loads(file.read_text("utf-8-sig"))
    except (ValueError, RecursionError, OSError):
        return None


def is_coco(content: object) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def add_coco(file: Path, content: Entry, images: Sequence[Path], found: Annotated) -> None:
    """The outlines of one JSON file; what it names and is not there is remarked."""
    by_name = _by_name(images)
    good = {c["id"]: word_of(str(c["name"])).meaning == "good" for c in content.get("categories", []) if "id" in c}
    names = {
        c["id"]: str(c["name"]).replace("/", "_").strip() or "defect"
        for c in content.get("categories", [])
        if "id" in c
    }
    of_image: dict[Any, list[Entry]] = defaultdict(list)
    for annotation in content["annotations"]:
        of_image[annotation.get("image_id")].append(annotation)
    _check_ids(file, content["images"], of_image)
    missing, boxes = 0, 0
    for entry in content["images"]:
        image = _find(str(entry.get("file_name", "")), file, by_name)
        if image is None:
            missing += 1
            continue
        outlines: list[Outline] = []
        labels: set[str] = set()
        for annotation in of_image[entry.get("id")]:
            category = annotation.get("category_id")
            label = names.get(category, "defect")
            found_one = _outline(annotation, entry)
            if good.get(category, False):
                found.notes.good.add(image)
            elif is_left_out(label):
                found.notes.left_out.add(image)
                outlines += [IgnoredOutline(*found_one)] if found_one else []
            else:
                labels.add(label)
                boxes += bool(found_one and not annotation.get("segmentation"))
                outlines += [found_one] if found_one else []
                if not found_one:
                    found.notes.no_area["neither an outline nor a box"].add(image)
        found.add(image, outlines, labels, file)
    found.read.add(file)
    if missing == len(content["images"]) and (elsewhere := _of_that_name(content["images"], by_name)):
        raise BadData(
            f"{file} lists no image of its own part of the data set; {elsewhere} is called so, and lies in another: "
            f"write its folder into file_name, or --ignore {file.name!r}"
        )
    if missing:
        found.remarks.append(f"{file.name} lists {counted(missing, 'image')} that are not in the folder")
    if boxes:
        found.remarks.append(f"{file.name} has {counted(boxes, 'box')} without an outline: their masks are rectangles")


def _check_ids(file: Path, entries: Sequence[Entry], of_image: Collection[Any]) -> None:
    """Raises BadData where it is unclear whose an annotation is: its image would be good without a word."""
    names: dict[Any, Any] = {}
    for entry in entries:
        if names.setdefault(entry.get("id"), entry.get("file_name")) != entry.get("file_name"):
            both = f"{names[entry.get('id')]} and {entry.get('file_name')}"
            raise BadData(
                f"{file} gives {both} one id, {entry.get('id')!r}; number its images anew, or export it again"
            )
    if stray := [number for number in of_image if number not in names]:
        raise BadData(
            f"{file} annotates {counted(len(stray), 'image')} that it does not list, such as image_id {stray[0]!r}; "
            f"its ids are such as {next(iter(names), None)!r}; write both alike, or --ignore {file.name!r}"
        )


def _outline(annotation: Entry, image: Entry) -> Outline | None:
    width, height = int(image.get("width") or 0), int(image.get("height") or 0)
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        rows, columns = map(int, shape["size"])
        counts = shape["counts"]
        runs = Runs(rows, columns, unpacked(counts) if isinstance(counts, str) else tuple(map(int, counts)))
        return outline(width or columns, height or rows, runs=runs)
    polygons = tuple(tuple(map(float, polygon)) for polygon in shape or [] if len(polygon) >= 6)
    if not polygons and annotation.get("bbox"):
        x, y, w, h = map(float, annotation["bbox"])
        polygons = ((x, y, x + w, y, x + w, y + h, x, y + h),)
    return outline(width, height, polygons) if polygons and width and height else None


def _of_that_name(entries: Sequence[Entry], by_name: Mapping[str, list[Path]]) -> Path | None:
    names = (plain(Path(str(entry.get("file_name", "")).replace("\\", "/")).name) for entry in entries)
    return next((by_name[name][0] for name in names if by_name.get(name)), None)


def _by_name(images: Sequence[Path]) -> dict[str, list[Path]]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_name[plain(image.name)].append(image)
    return by_name


def _find(name: str, file: Path, by_name: Mapping[str, list[Path]]) -> Path | None:
    """The image that a name means: beside the file, below it or beside its folder, the nearest first; in a file of
    train none of val. Raises BadData where it could be several."""
    parts = Path(name.replace("\\", "/")).parts
    candidates = by_name.get(plain(parts[-1]), []) if parts else []
    same_tail = [path for path in candidates if path.parts[-len(parts) :] == parts]
    own_part = [path for path in same_tail or candidates if not _of_other_part(path, file)]
    if len(parts) > 1 and not own_part:
        own_part = same_tail  # its folder is written
    photographs = [path for path in own_part if not _set_aside(path, file)] or own_part
    most = max((_shared(path, file) for path in photographs), default=0)
    nearest = [path for path in photographs if _shared(path, file) == most]
    if len(nearest) > 1:
        raise BadData(
            f"{file} names {name}, which could be {nearest[0]} or {nearest[1]}; write its folder into file_name, put "
            f"the file beside its images, or --ignore one of the two"
        )
    return nearest[0] if nearest else None


def _shared(image: Path, file: Path) -> int:
    """How many folders two paths begin with together."""
    pairs = enumerate(zip(image.parts[:-1], file.parts[:-1], strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(image.parts), len(file.parts)) - 1)


def _of_other_part(image: Path, file: Path) -> bool:
    """Whether an image lies in another part of the data set (train, validation, test) than the file is of."""
    start = _shared(image, file)
    own = {SPLITS[word] for part in (*file.parts[start:-1], file.stem) for word in tokens(part) if word in SPLITS}
    lies = {SPLITS[word] for part in image.parts[start:-1] for word in tokens(part) if word in SPLITS}
    return bool(own and lies) and not own & lies


def _set_aside(image: Path, file: Path) -> bool:
    """Whether a folder says that an image is a mask, or made of another one."""
    meanings = {word_of(part).meaning for part in image.parts[_shared(image, file) : -1]}
    return bool(meanings & {"masks", "maybe_masks", "unclear"})
