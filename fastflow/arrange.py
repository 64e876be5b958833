"""A folder of images in MVTec AD's layout (Bergmann et al., CVPR 2019), made of the files of any other.

Images are copied byte for byte; their masks become one PNG each, of 0 and 255, at the image's size.
"""

import hashlib
import os
import re
import shutil
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import DisjointSet

from fastflow.decode import SUFFIXES
from fastflow.errors import BadImage
from fastflow.files import file_sha256, printable
from fastflow.index import GOOD, mask_path
from fastflow.marks import MaskRule, at_size, read_marks, united, upright_size
from fastflow.sources import plain

COPIED_TOGETHER_BYTES = 2**20
MAX_STEM_BYTES = 200  # files made of an image have its name, and a name may have 255
BY_FORMAT = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "MPO": ".jpg"}


class Drawing(Protocol):
    """A mask that is not a file: polygons and the like; `level`: DEFECT, or IGNORED; `drawn_on`: width and height of
    the image that it was drawn on."""

    @property
    def level(self) -> int: ...

    @property
    def drawn_on(self) -> tuple[int, int]: ...

    def drawn(self, width: int, height: int) -> NDArray[np.bool_]: ...


class Item(NamedTuple):
    """One image and where it goes: `split` train or test, `defect_type` a folder's name; `name` is its file's, `page`
    the one that is read where it holds several."""

    image: Path
    split: str
    defect_type: str
    masks: tuple[Path | Drawing, ...] = ()
    name: str = ""
    page: int | None = None

    @property
    def target(self) -> str:
        """Relative to the category's folder."""
        return f"{self.split}/{self.defect_type}/{self.name or self.image.name}"

    @property
    def mask_target(self) -> str:
        return mask_path(self.defect_type, Path(self.target))


def split_good(
    images: Iterable[Path], test_fraction: float, *, on_image: Callable[[], None] = lambda: None
) -> list[Item]:
    """Good images into train and test by their content's hash: no order of names counts, the same at every call, and
    copies of one image stay together, as do files of a folder that differ in suffix alone. `on_image` is called once an
    image, from several threads."""

    def digest(path: Path) -> str:
        found = file_sha256(path)
        on_image()
        return found

    images = list(images)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        content = dict(zip(images, pool.map(digest, images), strict=True))
    count = len(images)
    wanted = round(count * test_fraction) if count >= 5 else 0
    items: list[Item] = []
    for copies in _of_one_picture(content):
        split = "test" if len(copies) <= wanted else "train"
        wanted -= len(copies) if split == "test" else 0
        items += [Item(path, split, GOOD) for path in copies]
    return items


def _of_one_picture(content: Mapping[Path, str]) -> list[list[Path]]:
    """Files of one content, or of one folder and stem (000.png and 000.jpg), in groups, in order of their hashes."""
    sets = DisjointSet([*content, *content.values()])
    by_stem: dict[tuple[Path, str], Path] = {}
    for path, key in content.items():
        sets.merge(path, key)
        sets.merge(path, by_stem.setdefault((path.parent, plain(path.stem)), path))
    groups = [[member for member in group if isinstance(member, Path)] for group in sets.subsets()]
    return sorted((sorted(group) for group in groups), key=lambda group: min(content[path] for path in group))


def named(items: Sequence[Item], folder: Path) -> list[Item]:
    """The items with names that hold anywhere: in composed Unicode, printable, short enough, with a suffix of their
    format; where several would be one but for case or suffix, their folders' names come before."""
    items = [item._replace(defect_type=_plain_name(item.defect_type)) for item in items]
    first = [_file_name(item.image, item.image.name) for item in items]
    clashing = _several(items, first)
    names = [
        _file_name(item.image, "_".join(item.image.relative_to(folder).parts)) if clash else name
        for item, name, clash in zip(items, first, clashing, strict=True)
    ]
    names = [
        f"{Path(name).stem}_{Path(name).suffix[1:].lower()}{Path(name).suffix}" if clash else name
        for name, clash in zip(names, _several(items, names), strict=True)
    ]
    again = _several(items, names)
    return [
        item._replace(name=_shortened(name, item.image.as_posix(), always=clash))
        for item, name, clash in zip(items, names, again, strict=True)
    ]


def _several(items: Sequence[Item], names: Sequence[str]) -> list[bool]:
    """Which names are not the only one of their place but for case and suffix."""
    places = [(item.split, plain(item.defect_type), plain(Path(n).stem)) for item, n in zip(items, names, strict=True)]
    count: dict[tuple[str, ...], int] = defaultdict(int)
    for place in places:
        count[place] += 1
    return [count[place] > 1 for place in places]


def _file_name(path: Path, name: str) -> str:
    name = _plain_name(name)
    if Path(name).suffix.lower() in SUFFIXES:
        return _shortened(name, path.as_posix())
    try:
        with Image.open(path) as image:
            suffix = BY_FORMAT.get(image.format or "", "")
    except Exception:  # an unreadable file is copied as it is, for the check
        suffix = ""
    return _shortened(Path(name).stem + suffix if suffix else name, path.as_posix())


def _plain_name(name: str) -> str:
    composed = unicodedata.normalize("NFC", printable(name))
    return re.sub(r"^\.", "_", "".join(c if c.isprintable() else "_" for c in composed).strip()) or "_"


def _shortened(name: str, of: str, *, always: bool = False) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    if len(stem.encode()) <= MAX_STEM_BYTES and not always:
        return name
    mark = hashlib.sha256(of.encode(errors="backslashreplace")).hexdigest()[:8]
    kept = stem.encode()[: MAX_STEM_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{mark}{suffix}"


def copy(items: Sequence[Item], folder: Path, *, rule: MaskRule, on_image: Callable[[], None]) -> dict[str, str]:
    """Writes the layout; the sha256 of each image by its path there. `on_image` is called once an image, from several
    threads. Raises FileExistsError, never writes over a file."""
    for place in {(folder / item.target).parent for item in items}:
        place.mkdir(parents=True, exist_ok=True)

    def copy_one(item: Item) -> str:
        digest = _copy_file(item.image, folder / item.target)
        if item.masks:
            copy_masks(item, folder / item.mask_target, rule)
        on_image()
        return digest

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(copy_one, items)  # raises the first error
        return {item.target: digest for item, digest in zip(items, digests, strict=True)}


def _copy_file(source: Path, target: Path) -> str:
    """The sha256 of what was copied, read once."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as file:  # x: never over another
        while block := read.read(COPIED_TOGETHER_BYTES):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def copy_masks(item: Item, target: Path, rule: MaskRule) -> None:
    """One PNG of all masks of an image. An unreadable one is copied as it is, for the check."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        Image.fromarray(marks_of(item, rule)).save(target)
    except BadImage:
        lost = next(mask for mask in item.masks if isinstance(mask, Path))
        shutil.copyfile(lost, target)


def marks_of(item: Item, rule: MaskRule) -> NDArray[np.uint8]:
    """All masks of an image in one, at its size: 0, IGNORED, DEFECT (`fastflow.marks`).

    Raises:
        BadImage: a mask that cannot be read.
    """
    try:
        width, height = upright_size(item.image, item.page)
    except (OSError, EOFError):  # the check names it
        width, height = 0, 0
    several = []
    for mask in item.masks:
        if isinstance(mask, Path):
            marks = read_marks(mask, rule)
            several.append(at_size(marks, width, height) if width else marks)
        else:
            several.append(mask.drawn(width or 1, height or 1).astype(np.uint8) * mask.level)
    return united(several)
