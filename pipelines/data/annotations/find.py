"""All annotations in a folder that can be read, and those that cannot, which would otherwise be missed silently."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fastflow.errors import BadData
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.coco import add_coco, is_coco, read_json
from pipelines.data.annotations.labelme import add_labelme, is_labelme
from pipelines.data.annotations.notes import no_notes
from pipelines.data.annotations.outline import Annotated

YOLO_LINE = re.compile(r"\d+( -?[\d.]+(e-?\d+)?){4,}\s*")
MARKS = re.compile(r"<(object|polygon|box|points|mask)\b|\"(objects|shapes|regions|result)\"\s*:\s*\[\s*\{")
FORMS = {".xml": "XML (Pascal VOC)", ".json": "JSON without outlines", ".xmp": "XMP", ".csv": "CSV", ".yaml": "YAML"}
LOOKED_AT_CHARACTERS = 20_000


def read_annotations(images: Sequence[Path], others: Iterable[Path]) -> Annotated:
    """`others`: the files that are no images. Raises BadData where one is damaged."""
    found = Annotated({}, {}, set(), [], no_notes())
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
    """Files of text called as images, with their suffix (a.png.json) or without, in any folder: they may say what the
    images are. By format; none of these is read."""
    called = {plain(name) for path in images for name in (path.stem, path.name)}
    found: dict[str, list[Path]] = {}
    for path in others:
        if path in read or plain(path.stem) not in called:
            continue
        match path.suffix.lower():
            case ".txt" if text := _beginning(path).strip():  # an empty one is YOLO's of a good image
                found.setdefault("text (YOLO)" if YOLO_LINE.match(text) else "text", []).append(path)
            case suffix if form := FORMS.get(".yaml" if suffix == ".yml" else suffix):
                found.setdefault(form, []).append(path)
    return found


def marks_something(file: Path) -> bool:
    """Whether a file that is not read seems to mark a place in its image, as those of YOLO and Pascal VOC do."""
    text = _beginning(file)
    return bool(YOLO_LINE.match(text) or MARKS.search(text))


def _beginning(file: Path) -> str:
    with file.open(errors="replace") as text:
        return text.read(LOOKED_AT_CHARACTERS)


def remarks(found: Annotated) -> str:
    """The first remark on the annotations, in one line."""
    more = f", and {counted(len(found.remarks) - 1, 'remark')} more" if len(found.remarks) > 1 else ""
    return found.remarks[0] + more
