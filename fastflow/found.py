"""What `fastflow.api.predict` found: tables, maps, regions, and a figure of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fastflow.decode import AS_MEANT, read_rgb
from fastflow.inputs import Sources
from fastflow.maps import OwnMaps
from fastflow.pixels.meaning import PixelRule
from fastflow.regions import MILLIMETRES, Region, RegionRule, as_record, largest_area

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ["image_path", *Region._fields, *MILLIMETRES]


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """`table`: a row an image, image_path (of a picture in memory: image 0, image 1, ...), pred_score (higher is more
    anomalous), pred_label (1 above the threshold); `anomaly_maps` [(H_i, W_i)], float32, each in its picture's own
    pixels, in the same order. `regions`: of each image those above the pixel threshold (`fastflow.regions.Region`), and
    `region_table`: a row each, with its image_path, and its lengths in millimetres where their size is known.
    `threshold`: of the detector, as `fastflow.operating.operating_point` has it."""

    table: pd.DataFrame
    anomaly_maps: OwnMaps
    regions: list[list[Region]]
    region_table: pd.DataFrame
    threshold: Mapping[str, Any]
    sources: Sources = field(repr=False)
    rule: PixelRule = field(default=AS_MEANT, repr=False)

    def __len__(self) -> int:
        return len(self.table)

    def to_frame(self) -> pd.DataFrame:
        """`table`, with how many `regions` each image has, and the `largest_area` among them, in pixels."""
        counts = [len(of_image) for of_image in self.regions]
        return self.table.assign(regions=counts, largest_area=[*map(largest_area, self.regions)])

    def plot(self, rows: Sequence[int] | None = None, *, most: int = 4) -> "Figure":
        """A figure: the pictures of `rows` with their regions' outlines, and their maps below, all on one scale. By
        default the `most` with the highest scores. A notebook shows it; `savefig` keeps it.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: no image to draw; or a row that there is not.
        """
        from fastflow.plot import Panel, draw  # matplotlib: not everyone who scores has it

        if rows is None:
            rows = np.argsort(-self.table["pred_score"].to_numpy(), kind="stable")[:most].tolist()
        if not rows:
            raise ValueError("no image to draw: name a row, or let it draw most of 1 or more")
        if strange := [row for row in rows if not 0 <= row < len(self)]:
            raise ValueError(f"rows {strange}: there are {len(self)} images, from row 0 to row {len(self) - 1}")
        scored = self.table[["image_path", "pred_score", "pred_label"]].to_numpy()
        panels = [
            Panel(
                name=str(scored[row, 0]),
                pred_score=float(scored[row, 1]),
                pred_label=int(scored[row, 2]),
                picture=read_rgb(self.sources[row], self.rule),
                anomaly_map=self.anomaly_maps[row],
                regions=self.regions[row],
            )
            for row in rows
        ]
        return draw(panels, self.threshold)


def region_table(names: Sequence[str], regions: Sequence[Sequence[Region]], rule: RegionRule) -> pd.DataFrame:
    """A row a region, with its image_path; lengths in millimetres, too, where their size is known."""
    records = [
        {"image_path": name} | as_record(one, rule.mm_per_pixel)
        for name, found in zip(names, regions, strict=True)
        for one in found
    ]
    table = pd.DataFrame(records, columns=COLUMNS)
    return table if rule.mm_per_pixel is not None else table.drop(columns=list(MILLIMETRES))
