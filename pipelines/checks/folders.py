"""What lies in a category's folders, by name alone: strangers, empty classes, lone masks, names that clash."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fastflow.index import mask_path, training_faults
from pipelines.checks.finding import Finding, finding

EXPECTED = {"train", "test", "ground_truth"}
NOTES = (".txt", ".md", ".json", ".yaml", ".dvc")  # beside the images, at a category's top: licence, source, readme
SYSTEM = {"thumbs.db", "desktop.ini"}


def folder_findings(folder: Path, index: pd.DataFrame) -> Iterator[Finding]:
    """All findings that need no image to be opened."""
    yield from (finding("layout", where, what) for where, what in training_faults(folder, index))
    yield from _strangers(folder, index)
    yield from _masks(folder, index)
    yield from _names(folder)


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name.lower() not in SYSTEM)


def _strangers(folder: Path, index: pd.DataFrame) -> Iterator[Finding]:
    """Whatever would be passed over in silence: unknown folders, foreign files, classes without an image."""
    for path in _visible(folder):
        if path.is_dir() and path.name not in EXPECTED:
            yield finding("layout", path.name, f"not one of the folders {', '.join(sorted(EXPECTED))}")
        elif not path.is_dir() and path.suffix.lower() not in NOTES:
            yield finding("foreign_file", path.name, "lies beside the folders, and is not read")
    taken = set(index["image_path"])
    classes = [p for split in ("train", "test") for p in _visible(folder / split)]
    for path in classes:
        name = path.relative_to(folder).as_posix()
        if not path.is_dir():
            yield finding("foreign_file", name, "lies beside the class folders, and is not read")
        elif name.startswith("test/") or path.name == "good":
            files = [p.relative_to(folder).as_posix() for p in _visible(path)]
            yield from (finding("foreign_file", f, "not an image by its name") for f in files if f not in taken)
            if not taken.intersection(files) and name.startswith("test/"):
                yield finding("empty_class", name, "holds no image")


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
    for path in _visible(root):
        for file in _visible(path) if path.is_dir() else [path]:
            name = file.relative_to(folder).as_posix()
            if name not in taken:
                yield finding("extra_mask", name, "no image belongs to this mask")


def _names(folder: Path) -> Iterator[Finding]:
    """Names that other systems would take for one, images that would share a mask, and names not in NFC."""
    for place in (p for split in sorted(EXPECTED) for p in [folder / split, *_visible(folder / split)]):
        same: dict[str, list[str]] = defaultdict(list)
        for path in _visible(place):
            name = path.relative_to(folder).as_posix()
            plain = unicodedata.normalize("NFC", path.name)
            key = plain.casefold() if path.is_dir() else Path(plain.casefold()).stem
            same[key].append(name)
            if plain != path.name or path.name != path.name.strip() or not path.name.isprintable():
                yield finding("name_form", name, f"the name {path.name!a} is written in an unusual form")
        for clash in (names for names in same.values() if len(names) > 1):
            for name in clash[1:]:
                yield finding("name_clash", name, f"too like {clash[0]}", image=name)
