"""The public data sets that can be downloaded: what they hold, under which licence, and how they become categories.

Where they are and their sha256 stand in params.yaml, section download: links rot.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from fastflow.decode import read_mask
from fastflow.errors import BadData
from fastflow.index import list_category, mask_path


class Counts(NamedTuple):
    """Official numbers of images of one category; each defective one has its mask."""

    train: int
    good: int
    defective: int
    defect_types: int


class DataSet(NamedTuple):
    """`wanted` names the archive's entries that a category needs, `arrange` makes its folder out of them."""

    title: str
    licence: str
    notice: str
    counts: Mapping[str, Counts]
    wanted: Callable[[str], tuple[str, ...]]
    arrange: Callable[[Path, str], Path]


def check_counts(folder: Path, expected: Counts) -> None:
    """Raises BadData, with what is there and what should be, where a category is not whole."""
    index = list_category(folder)
    test = index[index["split"] == "test"]
    defective = test[test["gt_label"] == 1]
    masks = int((defective["mask_path"] != "").sum())
    types = defective["defect_type"].nunique()
    found = Counts(len(index) - len(test), len(test) - len(defective), len(defective), types)
    if found != expected or masks != expected.defective:
        raise BadData(f"{folder.name} is not whole: {found} and {masks} masks, official are {expected}")


def _arrange_mvtec_ad(unpacked: Path, category: str) -> Path:
    for note in unpacked.glob("*.txt"):
        shutil.copy(note, unpacked / category)
    return unpacked / category


def _arrange_visa(unpacked: Path, category: str) -> Path:
    """VisA's one-class split as MVTec AD layout: all defects are of the type "bad", masks become 0 and 255."""
    folder = unpacked / f"{category}.arranged"
    for row in (row for row in visa_split(unpacked / "split_csv/1cls.csv") if row.object == category):
        kind = "good" if row.label == "normal" else "bad"
        image = unpacked / _inside(row.image, category)
        target = folder / row.split / kind / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
        if kind == "bad":
            mask = read_mask(unpacked / _inside(row.mask, category)).astype(np.uint8) * 255
            target = folder / mask_path(kind, image)
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(target)
    return folder


class VisaRow(NamedTuple):
    """Of VisA's table: `label` normal or anomaly, `split` train or test; paths relative to the data set's folder."""

    object: str
    split: str
    label: str
    image: str
    mask: str


def visa_split(file: Path) -> list[VisaRow]:
    """VisA's one-class split. Raises BadData."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)[list(VisaRow._fields)]
    except (ValueError, KeyError) as error:
        raise BadData(f"{file} is not VisA's table ({error}); unpack VisA's archive again") from error
    if not table["split"].isin(["train", "test"]).all():
        raise BadData(f"{file} is not VisA's table: a row has another split than train and test")
    return [VisaRow(*map(str, row)) for row in table.itertuples(index=False)]


def _inside(path: str, category: str) -> PurePosixPath:
    pure = PurePosixPath(path)
    if pure.parts[:1] != (category,) or ".." in pure.parts:
        raise BadData(f"split_csv/1cls.csv names {path!r}, which is no file of {category}")
    return pure


DATA_SETS = {
    "mvtec_ad": DataSet(
        title="MVTec AD",
        licence="CC BY-NC-SA 4.0",
        notice="MVTec AD (Bergmann et al., CVPR 2019) is (c) MVTec Software GmbH, licence CC BY-NC-SA 4.0: "
        "for non-commercial use only. By downloading it you accept https://creativecommons.org/licenses/by-nc-sa/4.0/",
        counts={
            "bottle": Counts(209, 20, 63, 3),
            "cable": Counts(224, 58, 92, 8),
            "capsule": Counts(219, 23, 109, 5),
            "carpet": Counts(280, 28, 89, 5),
            "grid": Counts(264, 21, 57, 5),
            "hazelnut": Counts(391, 40, 70, 4),
            "leather": Counts(245, 32, 92, 5),
            "metal_nut": Counts(220, 22, 93, 4),
            "pill": Counts(267, 26, 141, 7),
            "screw": Counts(320, 41, 119, 5),
            "tile": Counts(230, 33, 84, 5),
            "toothbrush": Counts(60, 12, 30, 1),
            "transistor": Counts(213, 60, 40, 4),
            "wood": Counts(247, 19, 60, 5),
            "zipper": Counts(240, 32, 119, 7),
        },
        wanted=lambda category: (category, "license.txt", "readme.txt"),
        arrange=_arrange_mvtec_ad,
    ),
    "visa": DataSet(
        title="VisA",
        licence="CC BY 4.0",
        notice="VisA (Zou et al., ECCV 2022) is (c) Amazon.com, licence CC BY 4.0: "
        "https://creativecommons.org/licenses/by/4.0/",
        counts={
            "candle": Counts(900, 100, 100, 1),
            "capsules": Counts(542, 60, 100, 1),
            "cashew": Counts(450, 50, 100, 1),
            "chewinggum": Counts(453, 50, 100, 1),
            "fryum": Counts(450, 50, 100, 1),
            "macaroni1": Counts(900, 100, 100, 1),
            "macaroni2": Counts(900, 100, 100, 1),
            "pcb1": Counts(904, 100, 100, 1),
            "pcb2": Counts(901, 100, 100, 1),
            "pcb3": Counts(905, 101, 100, 1),
            "pcb4": Counts(904, 101, 100, 1),
            "pipe_fryum": Counts(450, 50, 100, 1),
        },
        wanted=lambda category: (category, "split_csv/1cls.csv"),
        arrange=_arrange_visa,
    ),
}
