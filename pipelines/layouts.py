"""A person's own folder of images, in any of the usual layouts: what is found in it, before anything is copied.

MVTec AD:    train/good, test/<class>, ground_truth/<defect>/<image>_mask.png      taken as it is
by class:    good/ (or ok/, normal/), any other folder is a defect type; the good ones are split into train and test
flat:        images alone, all of them good
Masks by class lie in masks/ (or mask/, ground_truth/), in a folder of the defect's name or not, called as their image
or <image>_mask; a mask may also lie beside its image as <image>_mask.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastflow.errors import BadData
from fastflow.files import file_sha256
from fastflow.index import GOOD, MASK_SUFFIX, list_images

GOOD_NAMES = ("good", "ok", "normal", "images")
MASK_NAMES = ("masks", "mask", "ground_truth")


class Item(NamedTuple):
    """One image and where it goes; `mask` is its mask file or None."""

    image: Path
    split: str
    defect_type: str
    mask: Path | None


class Found(NamedTuple):
    """`unused` are images that no rule of the layout takes: masks without image, deeper folders."""

    layout: str
    items: list[Item]
    unused: list[Path]


def find_layout(folder: Path, *, test_fraction: float) -> Found:
    """What a folder holds.

    Raises:
        BadData: no such folder, or no good image in it; lists what is there.
    """
    if not folder.is_dir():
        raise BadData(f"folder {folder} does not exist")
    if (folder / "train" / GOOD).is_dir():
        layout, items = "MVTec AD", list(_mvtec(folder))
    elif good := next((p for p in _folders(folder) if p.name.lower() in GOOD_NAMES), None):
        layout, items = "by class", [*split_good(_pictures(good), test_fraction), *_defects(folder, good)]
    else:
        layout, items = "flat", split_good(_pictures(folder), test_fraction)
    if not any(item.defect_type == GOOD for item in items):
        there = [p.name for p in _folders(folder)]
        raise BadData(f"{folder} holds no good image; expected images in it, in good/ or in train/good; it has {there}")
    taken = {path for item in items for path in (item.image, item.mask) if path}
    every = (path for place in [folder, *_walk(folder)] for path in list_images(place))
    return Found(layout, items, [path for path in every if path not in taken])


def split_good(images: list[Path], test_fraction: float) -> list[Item]:
    """Good images into train and test by their content's hash: no order of names, and the same at every call."""
    ordered = sorted(images, key=lambda path: (file_sha256(path), path))
    count = round(len(images) * test_fraction) if len(images) >= 5 else 0
    test = set(ordered[:count])
    return [Item(path, "test" if path in test else "train", GOOD, None) for path in images]


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))


def _walk(folder: Path) -> Iterator[Path]:
    for inner in _folders(folder):
        yield inner
        yield from _walk(inner)


def _pictures(folder: Path) -> list[Path]:
    """Images but the masks that lie beside theirs."""
    paths = list_images(folder)
    stems = {path.stem for path in paths}
    return [p for p in paths if not (p.stem.endswith(MASK_SUFFIX) and p.stem.removesuffix(MASK_SUFFIX) in stems)]


def _mvtec(folder: Path) -> Iterator[Item]:
    for path in _pictures(folder / "train" / GOOD):
        yield Item(path, "train", GOOD, None)
    for kind in _folders(folder / "test") if (folder / "test").is_dir() else []:
        for path in _pictures(kind):
            yield Item(path, "test", kind.name, None if kind.name == GOOD else _mask(folder, kind, path))


def _defects(folder: Path, good: Path) -> Iterator[Item]:
    for kind in _folders(folder):
        if kind != good and kind.name.lower() not in MASK_NAMES:
            for path in _pictures(kind):
                yield Item(path, "test", kind.name, _mask(folder, kind, path))


def _mask(folder: Path, kind: Path, image: Path) -> Path | None:
    """The one mask file of an image. Raises BadData where several could be meant."""
    places = [folder / name / inner for name in MASK_NAMES for inner in (kind.name, "")]
    stems = (image.stem, image.stem + MASK_SUFFIX)
    found = [p for place in places if place.is_dir() for p in list_images(place) if p.stem in stems]
    found += [p for p in list_images(kind) if p.stem == image.stem + MASK_SUFFIX]
    if len(found) > 1:
        raise BadData(f"{image}: several files could be its mask: {', '.join(map(str, found))}; keep one")
    return found[0] if found else None
