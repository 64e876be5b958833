"""Findings by names alone: foreign files, empty classes, masks without an image, names that clash."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fastflow.files import printable, visible
from fastflow.index import GOOD, PLACES, folders, mask_path, training_faults
from pipelines.data.checks.finding import Finding, finding

NOTES = (".txt", ".md", ".json", ".yaml", ".dvc")  # beside the images, at a category's top: licence, source, readme


def folder_findings(folder: Path, index: pd.DataFrame) -> Iterator[Finding]:
    """All findings that need no image to be opened."""
    yield from (finding("layout", where, what) for where, what in training_faults(folder, index))
    yield from _foreign_files(folder, index)
    yield from _masks(folder, index)
    yield from _names(folder, index)


def _foreign_files(folder: Path, index: pd.DataFrame) -> Iterator[Finding]:
    """What would be skipped silently: unknown folders, foreign files, classes without an image."""
    for path in visible(folder):
        if path in folders(folder) and path.name not in PLACES:
            yield finding("layout", path.name, f"not one of the folders {', '.join(sorted(PLACES))}")
        elif not path.is_dir() and path.suffix.lower() not in NOTES:
            yield finding("foreign_file", path.name, "lies beside the folders, and is not read")
    taken = set(index["image_path"])
    for path in (p for split in ("train", "test") for p in visible(folder / split)):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir():
            yield finding("foreign_file", name, "lies beside the class folders, and is not read")
        elif not path.is_symlink() and (name.startswith("test/") or path.name == GOOD):
            files = [p.relative_to(folder).as_posix() for p in visible(path)]
            yield from (_not_read(path) for path in files if path not in taken)
            if not taken.intersection(files) and name.startswith("test/"):
                yield finding("empty_class", name, "holds no image")


def _not_read(path: str) -> Finding:
    if printable(path) != path:
        return finding("unreadable", path, "its name is not UTF-8, and no index can hold it")
    return finding("foreign_file", path, "not read: no image by its name, or no file")


def _masks(folder: Path, index: pd.DataFrame) -> Iterator[Finding]:
    """Masks that are missing, where the category has masks at all, and masks whose image is."""
    root = folder / "ground_truth"
    if not root.is_dir():
        return
    defects = index[(index["gt_label"] == 1) & (index["mask_path"] == "")]
    for path, kind in zip(defects["image_path"], defects["defect_type"], strict=True):
        expected = mask_path(kind, Path(path))
        yield finding("missing_mask", path, f"its mask is missing; expected {expected}", image=path)
    taken = set(index["mask_path"])
    for path in visible(root):
        for file in visible(path) if path.is_dir() else [path]:
            name = file.relative_to(folder).as_posix()
            if name not in taken:
                yield finding("extra_mask", name, "no image belongs to this mask")


def _names(folder: Path, index: pd.DataFrame) -> Iterator[Finding]:
    """Names that other systems would take for one, images that would share a mask, and names not in NFC."""
    for place in (p for split in sorted(PLACES) for p in [folder / split, *folders(folder / split)]):
        same: dict[str, list[str]] = defaultdict(list)
        for path in visible(place):
            name = path.relative_to(folder).as_posix()
            plain = unicodedata.normalize("NFC", path.name)
            key = plain.casefold() if path.is_dir() else Path(plain.casefold()).stem
            same[key].append(name)
            if plain != path.name or path.name != path.name.strip() or not path.name.isprintable():
                yield finding("name_form", name, f"the name {path.name!a} is written in an unusual form")
        for first, *others in same.values():
            for name in others:
                yield from _clash(name, first, index)


def _clash(name: str, first: str, index: pd.DataFrame) -> Iterator[Finding]:
    """One finding for each image that the clash of a file or folder puts at fault, or one without image."""
    images = _images_of(name, index) or _images_of(first, index)
    if len(images) < 2:
        yield finding("name_clash", name, f"too like {first}", image="".join(images))
    else:
        yield from (finding("name_clash", image, f"{name} is too like {first}", image=image) for image in images)


def _images_of(name: str, index: pd.DataFrame) -> list[str]:
    """The images that a file or folder is, holds, or marks."""
    found = [index[c].eq(name) | index[c].str.startswith(f"{name}/") for c in ("image_path", "mask_path")]
    return index.loc[found[0] | found[1], "image_path"].tolist()
