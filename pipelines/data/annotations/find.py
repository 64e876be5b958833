"""All annotations in a folder that can be read, and those that cannot, which would otherwise be missed silently."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastflow.errors import BadData
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.coco import add_coco, is_coco, read_json
from pipelines.data.annotations.labelme import add_labelme, is_labelme
from pipelines.data.annotations.outline import Annotated

YOLO_LINE = re.compile(r"\d+( -?[\d.]+(e-?\d+)?){4,}\s*")


def read_annotations(images: Sequence[Path], others: Iterable[Path]) -> Annotated:
    """`others`: the files that are no images. Raises BadData where one is damaged."""
    found = Annotated({}, {}, set(), [])
    by_stem = {(path.parent, plain(path.stem)): path for path in images}
    for file in (path for path in others if path.suffix.lower() == ".json"):
        content = read_json(file)
        try:
            if is_coco(content):
                add_coco(file, content, images, found)
            elif is_labelme(content):
                add_labelme(file, content, by_stem, found)
        except BadData:
            raise
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:  # whatever such files hold
            raise BadData(
                f"{file} cannot be read as annotations ({error!r}); mend it, or --ignore {file.name!r}"
            ) from error
    return found


def not_read(images: Sequence[Path], others: Iterable[Path], read: set[Path]) -> Mapping[str, list[Path]]:
    """Files with the names of images that seem to annotate them, by format; none of these formats is read."""
    stems = {plain(path.stem) for path in images}
    found: dict[str, list[Path]] = {}
    for path in others:
        if path in read or plain(path.stem) not in stems:
            continue
        match path.suffix.lower():
            case ".xml":
                found.setdefault("XML (Pascal VOC)", []).append(path)
            case ".json":
                found.setdefault("JSON without outlines", []).append(path)
            case ".txt" if YOLO_LINE.match(path.read_text(errors="replace")[:200]):
                found.setdefault("text (YOLO)", []).append(path)
    return found


def remarks(found: Annotated) -> str:
    """The first remark on the annotations, in one line."""
    more = f", and {counted(len(found.remarks) - 1, 'remark')} more" if len(found.remarks) > 1 else ""
    return found.remarks[0] + more
