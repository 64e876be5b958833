"""Charts of production over time: scores, rejects with limits, the looks of the photographs."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from fastflow.metrics.rates import rate_interval
from pipelines.reporting.pages.charts import span
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, short

STEPS = (10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)  # seconds of a bin
MAX_BINS, MAX_DOTS = 40, 300
ODD_COLOUR = "#8a63c9"  # told apart from blue and orange with any colour vision: it is darker than both
Change = tuple[float, str]


class Bins(NamedTuple):
    """Equal lengths of time: `edges` in seconds since 1970, and the bin of each row."""

    edges: NDArray[np.float64]
    of_row: NDArray[np.int64]
    seconds: int

    @property
    def number(self) -> int:
        return len(self.edges) - 1


def bins_of(times: ArrayLike) -> Bins:
    """As few as show the course, whole hours and days of local time."""
    found = np.asarray(times, np.float64)
    shift = local_shift()
    low, high = float(found.min()) + shift, float(found.max()) + shift
    step = next((step for step in STEPS if (high - low) / step < MAX_BINS), STEPS[-1])
    first, last = int(low // step), int(high // step) + 1
    edges = np.arange(first, last + 1, dtype=np.float64) * step - shift
    return Bins(edges, np.clip(((found + shift) // step).astype(np.int64) - first, 0, len(edges) - 2), step)


@mpl.rc_context(STYLE)
def scores_over_time(table: pd.DataFrame, bins: Bins, changes: Sequence[Change]) -> Chart:
    """The middle and most of the scores, those rejected and the odd ones as dots, and the threshold of the time."""
    figure = new_figure(1130, 270)
    axes = new_axes(figure, left=56, bottom=40, right=10, top=40)
    _band(axes, table["pred_score"].to_numpy(np.float64), bins, GOOD)
    usual = table[(table["pred_label"] == 1) & ~table["odd"]].nlargest(MAX_DOTS, "pred_score")
    odd = table[table["odd"]].nlargest(MAX_DOTS, "oddness")
    for rows, mark, colour, label in ((usual, ".", DEFECTIVE, "rejected"), (odd, "x", ODD_COLOUR, "odd picture")):
        if len(rows):
            axes.plot(days(rows["time"]), rows["pred_score"], mark, color=colour, markersize=6, label=label)
    threshold = table[["time", "threshold"]].iloc[_steps(table["threshold"])]
    times = [*threshold["time"], float(bins.edges[-1])]
    values = [*threshold["threshold"], float(table["threshold"].iloc[-1])]
    axes.plot(days(times), values, drawstyle="steps-post", color=INK, linewidth=1.2, ls=(0, (4, 2)), label="threshold")
    axes.set_ylim(*span([*table["pred_score"].quantile([0.001, 1]), *values]))
    axes.set_ylabel("pred_score")
    _finish(axes, bins, changes, named=True)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.06), ncols=5, borderpad=0, columnspacing=1.2)
    return Chart(figure, f"Scores of {len(table)} photographs over time, with the threshold and the rejected ones.")


def _steps(values: "pd.Series[float]") -> list[int]:
    """Where the values change."""
    return [int(i) for i in np.flatnonzero(values.diff().fillna(1.0).to_numpy())]


@mpl.rc_context(STYLE)
def rejects_over_time(table: pd.DataFrame, bins: Bins, changes: Sequence[Change], *, usual_rejects: float) -> Chart:
    """Shares of rejected photographs, odd ones apart, with 95 % limits."""
    figure = new_figure(1130, 230)
    axes = new_axes(figure, left=56, bottom=40, right=10, top=40)
    rejected, odd = table["pred_label"].to_numpy() == 1, table["odd"].to_numpy(bool)
    total = np.bincount(bins.of_row, minlength=bins.number)
    counts = [np.bincount(bins.of_row[chosen], minlength=bins.number) for chosen in (rejected & ~odd, rejected & odd)]
    shares = [count / np.maximum(total, 1) for count in counts]
    where, width = days(bins.edges[:-1]), 0.8 * bins.seconds / 86400
    middle = where + bins.seconds / 86400 / 2
    axes.bar(middle, shares[0], width, color=DEFECTIVE, alpha=0.8, label="rejected")
    if counts[1].any():
        axes.bar(middle, shares[1], width, bottom=shares[0], color=ODD_COLOUR, label="rejected, odd picture")
    some = total > 0
    limits = np.array(
        [rate_interval(int(c), int(n)) for c, n in zip((counts[0] + counts[1])[some], total[some], strict=True)]
    )
    axes.vlines(middle[some], limits[:, 0], limits[:, 1], color=INK, linewidth=1, label="95 % limits")
    label = f"usual, {usual_rejects:.1%}"
    axes.axhline(usual_rejects, color=INK, linewidth=1, alpha=0.6, linestyle=(0, (1, 2)), label=label)
    tallest = max(float((shares[0] + shares[1]).max()), usual_rejects)
    axes.set_ylim(0, min(1.0, 1.6 * tallest + 0.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.set_ylabel("rejected")
    _finish(axes, bins, changes)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.06), ncols=5, borderpad=0, columnspacing=1.2)
    return Chart(figure, f"Share of rejected photographs over time: {rejected.sum()} of {len(table)} in all.")


@mpl.rc_context(STYLE)
def look_over_time(name: str, table: pd.DataFrame, bins: Bins, changes: Sequence[Change]) -> Chart:
    """The middle and most of one figure, and the odd pictures as crosses."""
    figure = new_figure(360, 220)
    axes = new_axes(figure, left=50, bottom=40, right=8, top=12)
    _band(axes, table[name].to_numpy(np.float64), bins, GOOD)
    odd = table[table["odd"]].nlargest(MAX_DOTS, "oddness")
    axes.plot(days(odd["time"]), odd[name], "x", color=ODD_COLOUR, markersize=5)
    axes.set_ylim(*span(table[name].tolist()))
    axes.set_ylabel(name)
    _finish(axes, bins, changes, ticks=4)
    return Chart(figure, f"{name} of {len(table)} photographs over time.")


def _band(axes: Axes, values: NDArray[np.float64], bins: Bins, colour: str) -> None:
    """Of each bin that has any: the median, and the range of nine tenths; a line is broken where nothing was scored."""
    found = np.full((3, bins.number), np.nan)
    for number in np.unique(bins.of_row):
        found[:, number] = np.quantile(values[bins.of_row == number], (0.05, 0.5, 0.95))
    low, middle, high = found
    where = days(bins.edges[:-1]) + bins.seconds / 86400 / 2
    some = np.isfinite(middle)
    axes.vlines(where[some], low[some], high[some], color=colour, linewidth=5, alpha=0.3, label="9 of 10")
    axes.plot(where, middle, "o-", color=colour, linewidth=1.6, markersize=3.5, label="median")


def _finish(axes: Axes, bins: Bins, changes: Sequence[Change], *, named: bool = False, ticks: int = 9) -> None:
    limits = days(bins.edges[[0, -1]])
    axes.set_xlim(limits[0], limits[1])
    locator = AutoDateLocator(minticks=2, maxticks=ticks)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    names = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(names)
    if not isinstance(axes.yaxis.get_major_formatter(), PercentFormatter):
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")
    for time, model in changes:
        (at,) = days([time])
        axes.axvline(at, color=INK, linewidth=1, alpha=0.7)
        if named:
            name = short(model.rpartition("/")[2] if "/" in model else model)
            late = at > 0.7 * limits[1] + 0.3 * limits[0]  # its name would not fit to the right of it
            axes.text(
                at, 1.01, f"from here: {name}", transform=axes.get_xaxis_transform(), va="bottom",
                ha="right" if late else "left", parse_math=False,
            )  # fmt: skip


def days(times: ArrayLike) -> NDArray[np.float64]:
    """Seconds since 1970 as matplotlib's days, in local time."""
    return (np.asarray(times, np.float64) + local_shift()) / 86400


def local_shift() -> float:
    """Seconds that local time is ahead of UTC now."""
    offset = datetime.now().astimezone().utcoffset()
    return offset.total_seconds() if offset else 0.0
