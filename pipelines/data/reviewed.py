"""review.json in a category's folder: which of its pictures inspectors decided on, put there by `fastflow review`."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fastflow.decode import read_mask
from fastflow.files import write_text
from fastflow.index import mask_path
from pipelines.core.stored import Stored, read_stored

FILE = "review.json"


class _Said(Stored):
    inspector: str
    time: str


class _Entry(Stored):
    sha256: str
    file: str
    decision: Literal["good", "defect"]
    kind: str
    mask: Literal["none", "proposal"]
    by: list[_Said]


class _Reviewed(Stored):
    format: Literal[1]
    applied: list[_Entry]


def read_reviewed(folder: Path) -> list[dict[str, Any]]:
    """The entries, in order; none where nothing was applied. Raises BadData where the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return []
    found = read_stored(path, _Reviewed, cure="restore it (dvc checkout), or remove it: decisions are then not named")
    return list(found["applied"])


def write_reviewed(folder: Path, entries: Sequence[dict[str, Any]]) -> None:
    ordered = sorted(entries, key=lambda one: str(one["file"]))
    text = json.dumps({"format": 1, "applied": ordered}, indent=1, ensure_ascii=False)
    write_text(folder / FILE, text + "\n")


def summary(folder: Path, index: pd.DataFrame) -> dict[str, Any] | None:
    """What of a category's index comes from decisions; None: nothing does. Pictures that were removed since do not
    count."""
    there = set(zip(index["image_path"], index["sha256"], strict=True))
    entries = [one for one in read_reviewed(folder) if (one["file"], one["sha256"]) in there]
    if not entries:
        return None
    said = [said for one in entries for said in one["by"]]
    return {
        "good": sum(one["decision"] == "good" for one in entries),
        "defects": dict(sorted(Counter(one["kind"] for one in entries if one["decision"] == "defect").items())),
        "proposed_masks": sum(is_proposed(folder, one) for one in entries),
        "inspectors": sorted({one["inspector"] for one in said}),
        "first": min(one["time"] for one in said),
        "last": max(one["time"] for one in said),
        "files": [one["file"] for one in entries],
    }


def is_proposed(folder: Path, entry: dict[str, Any]) -> bool:
    """Whether nobody has drawn the mask of a defect yet: it leaves out every pixel still."""
    path = folder / mask_path(entry["kind"], Path(entry["file"]))
    if entry["mask"] != "proposal" or not path.is_file():
        return False
    return bool(np.ma.getmaskarray(read_mask(path)).all())


def as_tags(found: dict[str, Any] | None) -> dict[str, str]:
    """Of a run in MLflow."""
    if found is None:
        return {}
    return {
        "review.good": str(found["good"]),
        "review.defects": str(sum(found["defects"].values())),
        "review.last": str(found["last"]),
    }
