"""A figure of what was found. matplotlib is needed here alone; it is imported when a figure is asked for."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from fastflow.maps import Map
from fastflow.regions import Region

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon
except ImportError as error:
    raise ImportError("a figure needs matplotlib, which is not installed: pip install matplotlib") from error

INCHES = 3.0  # of a picture's column
GOOD, DEFECT = "#1a7f37", "#d1242f"
LONGEST_NAME = 28


class Panel(NamedTuple):
    """A picture (RGB), its verdict, and where: an anomaly map (H, W) of its own pixels, and regions."""

    name: str
    pred_score: float
    pred_label: int
    picture: Image.Image
    anomaly_map: Map
    regions: Sequence[Region]


class Shown(Figure):
    """A figure that a notebook shows once, whether or not pyplot is used there."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()


def draw(panels: Sequence[Panel], threshold: Mapping[str, Any]) -> Figure:
    """A column a panel. Colours go from what is usual to as far beyond the pixel threshold: equal scores have equal
    colours, and the middle of the scale is the threshold."""
    low, pixel = float(threshold["low"]), float(threshold["pixel"])
    figure = Shown(figsize=(INCHES * len(panels) + 1, 2 * INCHES + 0.5), layout="constrained")
    axes = figure.subplots(2, len(panels), squeeze=False)
    for column, panel in enumerate(panels):
        _picture(axes[0, column], panel)
        heat = axes[1, column].imshow(panel.anomaly_map, cmap="inferno", vmin=low, vmax=2 * pixel - low)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    bar = figure.colorbar(heat, ax=axes[1, :], shrink=0.9, extend="both")
    bar.set_ticks([low, pixel], labels=[f"{low:.2f}\nusual", f"{pixel:.2f}\nthreshold"])
    return figure


def _picture(axis: Axes, panel: Panel) -> None:
    axis.imshow(panel.picture)
    for region in panel.regions:
        points = zip(region.polygon[::2], region.polygon[1::2], strict=True)
        corners = [(x - 0.5, y - 0.5) for x, y in points]  # matplotlib counts from a pixel's centre
        axis.add_patch(Polygon(corners, fill=False, edgecolor=DEFECT, linewidth=1.5))
    verdict, colour = ("defect", DEFECT) if panel.pred_label else ("good", GOOD)
    axis.set_title(f"{_short(panel.name)}\n{verdict}, {panel.pred_score:.3f}", fontsize=9, color=colour)


def _short(name: str) -> str:
    """The end of a path: its folder, as it often names the kind, and the file."""
    end = "/".join(Path(name).parts[-2:])
    return end if len(end) <= LONGEST_NAME else f"…{end[-LONGEST_NAME + 1 :]}"
