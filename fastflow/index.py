"""A category's images: the MVTec AD layout on disk, and the prepared index that later stages read instead.

<category>/train/good/000.png          <category>/test/good/000.png
<category>/test/<defect>/000.png       <category>/ground_truth/<defect>/000_mask.png

A link to a file counts as the file: DVC may check out links. A link to a folder is not followed, and is a fault.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePath

import pandas as pd

from fastflow.decode import SUFFIXES
from fastflow.errors import BadData
from fastflow.files import file_sha256, printable, visible, write_text

GOOD = "good"
GOOD_NAMES = ("good", "ok", "normal")  # usual names; in a category's folder only `good` is allowed
MASK_SUFFIX = "_mask"
PLACES = ("train", "test", "ground_truth")
COLUMNS = ["image_path", "split", "defect_type", "gt_label", "mask_path", "sha256"]


def list_category(folder: Path) -> pd.DataFrame:
    """The rows of a category folder in MVTec layout, sorted, one row an image; paths relative to `folder`.

    Columns: image_path, split (train, test), defect_type ("good" or the folder's name), gt_label (0, 1),
    mask_path ("" where there is none), sha256 (empty: no file is read).

    Raises:
        BadData: no such folder; lists what is there.
    """
    if not folder.is_dir():
        there = sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if folder.parent.is_dir() else []
        raise BadData(f"category folder {folder} does not exist; {folder.parent} holds {there or 'no folder'}")
    rows = [row for split in ("train", "test") for row in _rows(folder, split)]
    return pd.DataFrame(rows, columns=COLUMNS)


def training_faults(folder: Path, index: pd.DataFrame) -> list[tuple[str, str]]:
    """Why a category cannot be used, as (where, what): folders beside train/good, fewer than 2 images in it, test
    folders that mean good and would count as a defect, links to folders."""
    splits = [p for p in visible(folder) if p.is_dir()]
    kinds = [p for split in splits if split.name in PLACES for p in visible(split) if p.is_dir()]
    faults = []
    for path in [*splits, *kinds]:
        where, split = path.relative_to(folder).as_posix(), path.parent.name
        if path.is_symlink():
            faults.append((where, "is a link to a folder, and not followed"))
        elif path in kinds and split == "train" and path.name != GOOD:
            faults.append((where, f"only train/{GOOD} is trained on"))
        elif path in kinds and split == "test" and path.name != GOOD and path.name.casefold() in GOOD_NAMES:
            faults.append((where, f"would count as a defect type; good images lie in test/{GOOD}"))
    count = int((index["split"] == "train").sum())
    if count < 2:
        allowed = ", ".join(SUFFIXES)
        faults.append((f"train/{GOOD}", f"has {count or 'no'} image, at least 2 are needed; allowed: {allowed}"))
    return faults


def _rows(folder: Path, split: str) -> Iterator[tuple[str, str, str, int, str, str]]:
    for kind in folders(folder / split) if folder / split in folders(folder) else []:
        for path in list_images(kind) if split == "test" or kind.name == GOOD else []:
            mask = mask_path(kind.name, path)
            mask = mask if kind.name != GOOD and is_file_or_lost(folder / mask) else ""
            name = path.relative_to(folder).as_posix()
            if printable(name) == name:  # a name that is not UTF-8 fits in no table
                yield name, split, kind.name, int(kind.name != GOOD), mask, ""


def folders(folder: Path) -> list[Path]:
    """The visible folders in `folder`, sorted; links to folders are none."""
    return [p for p in visible(folder) if p.is_dir() and not p.is_symlink()]


def is_file_or_lost(path: Path) -> bool:
    """A file, or a link that leads nowhere or in circles: that cannot be read, and must not vanish for it."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def mask_path(defect_type: str, image: PurePath) -> str:
    """Where the mask of a defective image belongs, relative to its category's folder."""
    return f"ground_truth/{defect_type}/{image.stem}{MASK_SUFFIX}.png"


def list_images(folder: Path) -> list[Path]:
    """Image files directly in `folder`, by suffix, sorted by name; hidden files are left out."""
    return [p for p in visible(folder) if p.suffix.lower() in SUFFIXES and is_file_or_lost(p)]


def write_index(index: pd.DataFrame, path: Path) -> None:
    """Writes an index, and its hash beside it in `seal_of(path)`."""
    text = index.to_csv(index=False)
    write_text(path, text)
    write_text(seal_of(path), hashlib.sha256(text.encode()).hexdigest() + "\n")


def seal_of(path: Path) -> Path:
    """Where the hash of an index file lies."""
    return path.with_name(f"{path.name}.sha256")


def read_index(path: Path, *, split: str) -> pd.DataFrame:
    """The rows of one split of a prepared index, in order.

    Raises:
        BadData: the file is absent or not what `write_index` wrote, or its columns are not those of `list_category`.
    """
    if not path.is_file() or not seal_of(path).is_file():
        raise BadData(f"prepared index {path} does not exist, or is incomplete; run: dvc repro prepare@{path.stem}")
    if file_sha256(path) != seal_of(path).read_text(errors="replace").strip():
        raise BadData(f"prepared index {path} is damaged or was edited; run: dvc repro --force prepare@{path.stem}")
    try:
        index = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise BadData(
            f"prepared index {path} cannot be read ({error}); run: dvc repro --force prepare@{path.stem}"
        ) from error
    if list(index.columns) != COLUMNS:
        raise BadData(f"prepared index {path} has the columns {list(index.columns)}; expected {COLUMNS}")
    if not index["gt_label"].isin(["0", "1"]).all():
        raise BadData(
            f"prepared index {path} has a gt_label other than 0 and 1; run: dvc repro --force prepare@{path.stem}"
        )
    index["gt_label"] = index["gt_label"].astype(int)
    return index[index["split"] == split].reset_index(drop=True)


def verify_images(index: pd.DataFrame, root: Path) -> None:
    """Compares the images of an index's rows with the sha256 they had when it was made.

    Raises:
        BadData: an image is missing or is another; names each.
    """
    wrong = []
    for path, sha256 in zip(index["image_path"], index["sha256"], strict=True):
        if not (root / path).is_file():
            wrong.append(f"{path} is missing")
        elif file_sha256(root / path) != sha256:
            wrong.append(f"{path} is not what it was: damaged or replaced")
    if wrong:
        raise BadData(
            f"{root}: {len(wrong)} images are not those that were checked; restore them (dvc checkout --force, or from "
            "their source), or have them checked as they are now (dvc repro prepare@NAME):\n  " + "\n  ".join(wrong)
        )
