"""The chart of true regions that are found, by their size."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure

CLASS_FACTOR = 4  # of areas between two marks of the axis: those of the size classes


@mpl.rc_context(STYLE)
def recall_by_size(regions: Mapping[str, Any]) -> Chart:
    """Over the area of true regions, in classes: the share that is found, with its 95 % limits; below, each as a
    tick. `regions`: regions.json, with `by_size` and `true`."""
    rows = regions["by_size"]
    first, last = _place(rows[0]["from"]), _place(rows[-1]["to"])
    figure = new_figure(460, 304)
    top = new_axes(figure, left=56, bottom=104, right=26, top=26)
    low = new_axes(figure, left=56, bottom=44, right=26, top=212)
    for row in rows:
        _class(top, row)
    shares = [row["count"] / row["total"] for row in rows]
    top.plot([_middle(row) for row in rows], shares, color=GOOD, linewidth=2)
    top.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    top.set_ylabel("found")
    top.grid(axis="y")
    for line, (hit, colour) in enumerate(((True, GOOD), (False, DEFECTIVE))):
        places = [_place(one["area"]) for one in regions["true"] if one["found"] == hit]
        low.plot(places, [-line] * len(places), "|", color=colour, markersize=11, markeredgewidth=1.4)
    low.set_ylim(-1.6, 0.6)
    low.set_yticks([0, -1], ["found", "missed"])
    low.tick_params(axis="y", length=0)
    low.spines["left"].set_visible(False)
    ticks = range(math.floor(first + 1e-9), math.ceil(last - 1e-9) + 1)
    for axes in (top, low):
        axes.set_xlim(first - 0.05, last + 0.05)
        axes.set_xticks(list(ticks), [_short(CLASS_FACTOR**tick) for tick in ticks])
    top.tick_params(labelbottom=False, length=0)
    low.set_xlabel("area of the true region, pixels")
    counted = regions["recall"]
    return Chart(figure, f"{counted['count']} of {counted['total']} true regions are found; their share by size.")


def _class(axes: Axes, row: Mapping[str, Any]) -> None:
    """One size class: a dot at the share found, a line between its limits, and the numbers above."""
    middle, share = _middle(row), row["count"] / row["total"]
    axes.plot([middle, middle], [row["low"], row["high"]], color=INK, alpha=0.45, linewidth=1.4)
    for limit in (row["low"], row["high"]):
        axes.plot([middle - 0.06, middle + 0.06], [limit, limit], color=INK, alpha=0.45, linewidth=1.4)
    axes.plot([middle], [share], "o", color=GOOD, markersize=7)
    text = f"{row['count']} of {row['total']}"
    axes.text(middle, 1.05, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=10)


def _middle(row: Mapping[str, Any]) -> float:
    return (_place(row["from"]) + _place(row["to"])) / 2


def _place(area: float) -> float:
    return math.log(area, CLASS_FACTOR)


def _short(area: int) -> str:
    return f"{area:,}" if area < 100_000 else f"{area / 1e6:.2g} M"
