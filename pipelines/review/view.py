"""Pictures as a browser shows them: decoded as the model reads them, in a process of its own, and encoded anew."""

import hashlib
import io
import json
import sqlite3
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image

from fastflow.decode import NamedBytes, read_rgb
from fastflow.errors import BadData
from fastflow.index import list_category
from fastflow.pixels.meaning import PixelRule
from pipelines.core.stage import log
from pipelines.data.checks.pictures import Thumbnail, inspect_image
from pipelines.review.decisions import Unknown
from pipelines.review.store import heat_file, picture_file

MAX_SIDE_PIXELS = 2400  # that a page gets: an edge of a defect of one pixel in 5,000 is seen in the heat map
QUALITY = 92
MAX_COMPARED = 1000  # training pictures: more take minutes to read, and add little
KEPT = 24  # pictures in memory, about 1 MB each


class Shown:
    """The last pictures that were asked for, as JPEG."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return self._kept.get(key)

    def put(self, key: str, content: bytes) -> None:
        with self._lock:
            self._kept[key] = content
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def encoded(content: bytes, rule: PixelRule) -> bytes:
    """A picture as JPEG, at most `MAX_SIDE_PIXELS` long. Raises BadImage; what it may take, its process bounds."""
    image = read_rgb(NamedBytes(content, "the picture"), rule)
    image.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def read_kept(base: sqlite3.Connection, category: str, sha256: str) -> tuple[bytes, PixelRule, Path]:
    """A kept picture's file, how it is read, and where it lies.

    Raises:
        Unknown: it is not kept. BadData: its file is missing, or damaged.
    """
    row = base.execute("SELECT suffix, reading FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
    if row is None:
        raise Unknown("this picture is no longer kept")
    path = picture_file(category, sha256, row["suffix"])
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BadData(f"{path} is {'damaged' if content else 'missing'}; skip it: it cannot be reviewed")
    return content, rule_of(row["reading"]), path


def read_heat(category: str, sha256: str) -> bytes:
    """Raises Unknown where there is none."""
    path = heat_file(category, sha256)
    if not path.is_file():
        raise Unknown("this picture has no heat map any more")
    return path.read_bytes()


def rule_of(reading: str) -> PixelRule:
    found = json.loads(reading)
    low_high = found["value_range"]
    return PixelRule((low_high[0], low_high[1]) if low_high else None, found["page"], found["version"])


def thumbnail(path: Path, rule: PixelRule) -> Thumbnail | None:
    """Grey, (1024,); None where the picture cannot be read."""
    return inspect_image(path.parent, path.name, "", rule).thumbnail


class Nearest:
    """The good training picture that looks most like another one, by grey thumbnails: of parts that always lie alike,
    one in the same place. Training pictures are read at the first question, in tens of milliseconds each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[PixelRule, list[tuple[Path, Thumbnail]]] = {}
        self._lock = threading.Lock()

    def find(self, own: Thumbnail, rule: PixelRule) -> Path | None:
        """None: there is no good picture."""
        with self._lock:
            if rule not in self._found:
                self._found[rule] = self._read(rule)
            found = self._found[rule]
        if not found:
            return None
        far = [float(np.square(own.astype(np.float64) - other).sum()) for _, other in found]
        return found[int(np.argmin(far))][0]

    def _read(self, rule: PixelRule) -> list[tuple[Path, Thumbnail]]:
        try:
            index = list_category(self.folder)
        except (BadData, OSError) as error:
            log.warning("no good pictures to compare with: %s", error)
            return []
        paths = [self.folder / name for name in index.loc[index["split"] == "train", "image_path"]]
        paths = paths[:: -(-len(paths) // MAX_COMPARED) or 1]
        seen = [(path, thumbnail(path, rule)) for path in paths]
        return [(path, found) for path, found in seen if found is not None]
