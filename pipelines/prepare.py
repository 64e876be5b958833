"""Check every file of a category and write its index, data/prepared/<category>.csv.

The index is all that later stages read to find images. Nothing is written if a file is bad: every one is named.
Run by DVC as: python -m pipelines.prepare --category bottle
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from fastflow.decode import BadImage, read_image, read_mask
from fastflow.errors import BadData
from fastflow.files import write_text
from fastflow.index import scan_category
from pipelines.params import Params
from pipelines.paths import index_file
from pipelines.stage import log, run_category_stage


def prepare(category: str, params: Params) -> None:
    folder = Path(params.data.root) / category
    index = scan_category(folder)
    problems = find_problems(folder, index)
    if problems:
        raise BadData(f"{len(problems)} bad files in {folder}; nothing was written:\n  " + "\n  ".join(problems))
    write_text(index_file(category), index.to_csv(index=False))
    counts = (index["split"] + "/" + index["defect_type"]).value_counts(sort=False)
    log.info("%s: %s", category, ", ".join(f"{kind} {n}" for kind, n in counts.items()))


def find_problems(folder: Path, index: pd.DataFrame) -> list[str]:
    """One sentence for each file that cannot be used, in the index's order."""
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda row: _problem(folder, row), index.to_dict("records"))
    masked = folder / "ground_truth"
    missing = []
    if masked.is_dir():
        defects = index[(index["gt_label"] == 1) & (index["mask_path"] == "")]
        missing = [
            f"{folder / path}: its mask is missing; expected {masked / kind / (Path(path).stem + '_mask.png')}"
            for path, kind in zip(defects["image_path"], defects["defect_type"], strict=True)
        ]
    return [problem for problem in found if problem] + missing


def _problem(folder: Path, row: dict[str, str]) -> str:
    try:
        size = read_image(folder / row["image_path"]).shape[:2]
        if row["mask_path"]:
            mask = read_mask(folder / row["mask_path"])
            if mask.shape != size:
                return f"{folder / row['mask_path']}: {mask.shape} pixels, its image has {size}; redraw the mask"
            if not mask.any():
                return f"{folder / row['mask_path']}: the mask marks no pixel; redraw it, or move the image to good"
    except BadImage as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(run_category_stage(prepare, doc=__doc__))
