"""Regions as COCO's JSON, which CVAT, Label Studio and FiftyOne open: images, annotations with polygons, one category.

https://cocodataset.org/#format-data; the file of results' `score` is the region's peak. Written at once in the end, and
read again where a scoring is resumed.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from fastflow.errors import BadData
from fastflow.files import printable, write_text
from fastflow.frame import Size
from fastflow.regions import Region, RegionRule, in_millimetres
from pipelines.core.lock import LockHeld

CATEGORY = {"id": 1, "name": "anomaly"}
Entry = dict[str, Any]


class CocoFile:
    """The JSON of one model, at one threshold of pixels and by one rule; a context manager, inside of which no other
    process writes to it. Of an image whose file has changed it holds the present content alone.

    Raises:
        BadData: the file is of something else. LockHeld: another process writes to it.
    """

    def __init__(self, path: Path, *, category: str, version: str, threshold: float, rule: RegionRule) -> None:
        self.path, self.rule = path, rule
        self.category = CATEGORY | ({"supercategory": category} if category else {})
        self.info = {
            "description": "regions above the pixel threshold, by FastFlow",
            "model": version, "threshold": threshold, **rule._asdict(),
        }  # fmt: skip
        self.images: dict[str, tuple[Entry, list[Entry]]] = {}
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.path.open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._lock.fileno()), self.path.stat()):
                raise BlockingIOError  # the other one has just ended
            if content := self.path.read_bytes():
                self._resume(content)
        except BlockingIOError:
            self._lock.close()
            raise LockHeld(f"{self.path} is being written by another process; wait for it, or name another") from None
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._lock is not None
        write_text(self.path, json.dumps(self._content()) + "\n")
        self._lock.close()

    def holds(self, path: str, sha256: str) -> bool:
        """Whether it has an image with this content."""
        known = self.images.get(printable(path))
        return known is not None and known[0]["sha256"] == sha256

    def add(self, path: str, sha256: str, size: Size, score: float, label: int, regions: Sequence[Region]) -> None:
        """An image of `size` (height, width), with all its regions."""
        name = printable(path)
        image = {"file_name": name, "width": size[1], "height": size[0], "sha256": sha256}
        self.images[name] = image | {"pred_score": score, "pred_label": label}, [self._annotation(r) for r in regions]

    def _annotation(self, region: Region) -> Entry:
        found = {
            "category_id": CATEGORY["id"], "segmentation": [list(region.polygon)], "area": region.area,
            "bbox": [region.x, region.y, region.width, region.height], "iscrowd": 0, "score": region.peak,
            "mean": region.mean, "centroid": [region.centroid_x, region.centroid_y],
        }  # fmt: skip
        if self.rule.mm_per_pixel is not None:
            found |= in_millimetres(region, self.rule.mm_per_pixel)
        return found

    def _content(self) -> Entry:
        images: list[Entry] = []
        annotations: list[Entry] = []
        for image, own in self.images.values():
            images.append({"id": len(images) + 1} | image)
            for one in own:
                annotations.append({"id": len(annotations) + 1, "image_id": len(images)} | one)
        parts = {"licenses": [], "categories": [self.category], "images": images, "annotations": annotations}
        return {"info": self.info} | parts

    def _resume(self, content: bytes) -> None:
        try:
            found = json.loads(content)
            own = self._read(found)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BadData(
                f"{self.path} is no file of regions that fastflow score wrote; it is left as it is: name another one "
                f"({error!r})"
            ) from error
        for name, expected in self.info.items():
            if found["info"].get(name) != expected:
                stated = f"the {name} {found['info'].get(name)}, not {expected}"
                raise BadData(f"{self.path} holds regions with {stated}: remove it, or name another")
        self.images = own

    def _read(self, found: Entry) -> dict[str, tuple[Entry, list[Entry]]]:
        found["info"]["model"]
        by_id: dict[int, tuple[Entry, list[Entry]]] = {}
        for image in found["images"]:
            by_id[image.pop("id")] = image, []
        for one in found["annotations"]:
            by_id[one.pop("image_id")][1].append(one)
            del one["id"]
        return {str(image["file_name"]): (image | {"sha256": image["sha256"]}, own) for image, own in by_id.values()}
