"""A person's own folder of images, in any of the usual layouts: what is found in it, before anything is copied.

MVTec AD:    train/good, test/<class>, ground_truth/<defect>/<image>_mask.png; good may be called as below
by class:    good/ (or ok/, normal/, images/), any other folder is a defect type; the good ones are split
flat:        images alone, all of them good
Masks by class: masks.py beside this file. Upper and lower case are one. What can be meant in two ways is refused, and
so are links: they would lead to files that nobody looked for. Hidden and system files (Thumbs.db) are passed over;
every other file that is not taken is reported.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fastflow.errors import BadData
from fastflow.files import file_sha256, printable, visible
from fastflow.index import GOOD, GOOD_NAMES, MASK_SUFFIX, folders, list_images, mask_path
from pipelines.data.masks import DOUBTFUL_NAMES, MASK_NAMES, masks_of

MVTEC = "MVTec AD"
IMAGES = "images"  # good ones, where no other folder says which are


class Item(NamedTuple):
    """One image and where it goes; `mask` is its mask file or None."""

    image: Path
    split: str
    defect_type: str
    mask: Path | None

    def targets(self) -> list[str]:
        """Where the image and its mask go, relative to the category's folder."""
        mask = [mask_path(self.defect_type, self.image)] if self.mask else []
        return [f"{self.split}/{self.defect_type}/{self.image.name}", *mask]


class Found(NamedTuple):
    """`unused` are the files that no rule of the layout takes: other formats, masks without image, deeper folders;
    `set_apart` the good images that were split off for the test."""

    layout: str
    items: list[Item]
    unused: list[Path]
    set_apart: list[Path]


def find_layout(folder: Path, *, test_fraction: float) -> Found:
    """What a folder holds.

    Raises:
        BadData: no such folder, no good image in it, a link, or what can be meant in two ways; lists what is there.
    """
    if not folder.is_dir():
        raise BadData(f"folder {folder} does not exist")
    files = _walk(folder)
    train = _one(folder, ("train",))
    if train and _one(train, GOOD_NAMES):
        layout, items = MVTEC, list(_mvtec(folder, train))
    elif good := _good(folder):
        layout, items = "by class", [*split_good(_pictures(good), test_fraction), *_defects(folder, good)]
    else:
        layout, items = "flat", split_good(_pictures(folder), test_fraction)
    if not any(item.defect_type == GOOD for item in items):
        there = ", ".join(p.name for p in folders(folder)) or "no folder"
        raise BadData(f"{folder} holds no good image; expected images in it, in good/ or in train/good; it has {there}")
    _refuse_clashes(items)
    taken = {path for item in items for path in (item.image, item.mask) if path}
    apart = [i.image for i in items if layout != MVTEC and i.split == "test" and i.defect_type == GOOD]
    return Found(layout, items, [path for path in files if path not in taken], apart)


def split_good(images: list[Path], test_fraction: float) -> list[Item]:
    """Good images into train and test by their content's hash: no order of names, and the same at every call."""
    ordered = sorted(images, key=lambda path: (file_sha256(path), path))
    count = round(len(images) * test_fraction) if len(images) >= 5 else 0
    test = set(ordered[:count])
    return [Item(path, "test" if path in test else "train", GOOD, None) for path in images]


def _walk(folder: Path) -> list[Path]:
    """All visible files below a folder. Raises BadData where there are links."""
    files: list[Path] = []
    links: list[Path] = []
    todo = [folder]
    while todo:
        for path in visible(todo.pop()):
            (links if path.is_symlink() else todo if path.is_dir() else files).append(path)
    if links:
        told = "\n  ".join(printable(f"{path} -> {path.readlink()}") for path in sorted(links))
        raise BadData(
            f"{folder} holds {len(links)} links, which are not followed; remove them, or copy the folder with what "
            f"they lead to (cp -rL {folder} ...):\n  {told}"
        )
    return sorted(files)


def _one(folder: Path, names: Iterable[str]) -> Path | None:
    """The folder in `folder` that has one of the names. Raises BadData where several have."""
    found = [path for path in folders(folder) if path.name.casefold() in names]
    if len(found) > 1:
        raise BadData(f"{', '.join(map(str, found))}: several folders mean the same; make one of them")
    return found[0] if found else None


def _good(folder: Path) -> Path | None:
    """The folder of good images by class. Raises BadData where that can be doubted."""
    good, images = _one(folder, GOOD_NAMES), _one(folder, (IMAGES,))
    if good and images:
        raise BadData(f"{images}: good images, or a defect type, beside {good}? rename it to what they show")
    masks = [path for path in folders(folder) if path.name.casefold() in MASK_NAMES]
    if images and masks:
        raise BadData(f"{images} beside {masks[0]}: which images are good? sort them into good/ and a folder a defect")
    return good or images


def _pictures(folder: Path) -> list[Path]:
    """Images but the masks that lie beside theirs."""
    paths = list_images(folder)
    stems = {path.stem.casefold() for path in paths}
    marks = (path.stem.casefold() for path in paths)
    beside = [stem.endswith(MASK_SUFFIX) and stem.removesuffix(MASK_SUFFIX) in stems for stem in marks]
    return [path for path, is_mask in zip(paths, beside, strict=True) if not is_mask]


def _mvtec(folder: Path, train: Path) -> Iterator[Item]:
    good, test = _one(train, GOOD_NAMES), _one(folder, ("test",))
    for path in _pictures(good) if good else []:
        yield Item(path, "train", GOOD, None)
    good = _one(test, GOOD_NAMES) if test else None
    for kind in folders(test) if test else []:
        yield from ((Item(p, "test", GOOD, None) for p in _pictures(kind)) if kind == good else _bad(folder, kind))


def _defects(folder: Path, good: Path) -> Iterator[Item]:
    for kind in folders(folder):
        if kind.name.casefold() in DOUBTFUL_NAMES and any(list_images(place) for place in (kind, *folders(kind))):
            raise BadData(f"{kind}: masks, or a defect type? rename it to masks, or to what the images show")
        if kind != good and kind.name.casefold() not in MASK_NAMES:
            yield from _bad(folder, kind)


def _bad(folder: Path, kind: Path) -> Iterator[Item]:
    images = _pictures(kind)
    masks = masks_of(folder, kind, images)
    return (Item(path, "test", kind.name, masks.get(path)) for path in images)


def _refuse_clashes(items: list[Item]) -> None:
    """Raises BadData where one file would have two meanings, or two would get one name, also but for case."""
    by_mask: dict[Path, list[Path]] = defaultdict(list)
    by_target: dict[str, list[Path]] = defaultdict(list)
    spellings: dict[str, set[str]] = defaultdict(set)
    for item in items:
        spellings[item.defect_type.casefold()].add(item.defect_type)
        if item.mask:
            by_mask[item.mask].append(item.image)
        for target in item.targets():
            by_target[target.casefold()].append(item.image)
    for mask, images in by_mask.items():
        if len(images) > 1:
            shared = " and of ".join(map(str, images))
            raise BadData(f"{mask} would be the mask of {shared}; put it into a folder of the defect's name")
    for target, images in by_target.items():
        if len(images) > 1:
            raise BadData(f"{' and '.join(map(str, images))} would both become {target}; rename one")
    for names in spellings.values():
        if len(names) > 1:
            raise BadData(f"folders {' and '.join(sorted(names))} differ in case alone; rename one")
