"""Draw docs/demo.jpg, the README's picture, from the reports that `make demo` left.

Run as: python docs/make_pictures.py
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from PIL import Image

from pipelines.core.params import read_params
from pipelines.core.paths import report_folder

COLUMNS = ("image", "heat", "contours")
TITLES = ("image", "anomaly map", "true defect (blue), found (amber)")


def typical_case(folder: Path) -> dict[str, str]:
    """The defective picture whose score is the median of those shown: neither the best nor the worst."""
    cases = pd.DataFrame(json.loads((folder / "pictures/index.json").read_text())["cases"])
    defective = cases[cases["gt_label"] == 1].sort_values("pred_score")
    return dict(defective.iloc[len(defective) // 2])


def main() -> None:
    categories = read_params().data.categories
    figure, axes = plt.subplots(len(COLUMNS), len(categories), figsize=(2.6 * len(categories), 7.8), dpi=110)
    for column, category in enumerate(categories):
        folder = report_folder(category)
        case = typical_case(folder)
        for row, kind in enumerate(COLUMNS):
            axes[row, column].imshow(Image.open(folder / "pictures" / case[kind]))
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(f"{category}: {case['defect_type'].replace('_', ' ')}", fontsize=11)
    for row, title in enumerate(TITLES):
        axes[row, 0].set_ylabel(title, fontsize=9)
    figure.tight_layout(pad=0.6)
    figure.savefig("docs/demo.jpg", pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
