"""The charts of a category's report, each from a table that its evaluation or training left."""

from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, short
from pipelines.reporting.pictures import blend, heat_colours

Corner = Literal["upper left", "upper right"]
BINS = (12, 40)  # fewest and most bars of a histogram


@mpl.rc_context(STYLE)
def score_histogram(scores: pd.DataFrame, *, threshold: float | None) -> Chart:
    """How many good and defective images have which pred_score; below, each image as a tick, by defect type.

    Columns defect_type, gt_label, pred_score.
    """
    types = defect_types(scores)
    strip = 17 * (len(types) + 1)
    figure = new_figure(560, 236 + strip)
    top = new_axes(figure, left=124, bottom=strip + 50, right=8, top=26)
    low = new_axes(figure, left=124, bottom=42, right=8, top=190)
    limits = span(scores["pred_score"].tolist(), threshold)
    corner: Corner = "upper left" if threshold is not None and threshold > sum(limits) / 2 else "upper right"
    edges = bin_edges(limits, num_bins(len(scores)), threshold)
    _bars(top, scores, edges, legend=corner)
    _rug(low, scores, types)
    for axes in (top, low):
        axes.set_xlim(edges[0], edges[-1])  # nothing clips an SVG's bars
    marked = ""
    if threshold is not None:
        mark_threshold(top, threshold, named=True)
        mark_threshold(low, threshold)
        marked = f" The threshold is {threshold:.4g}."
    return Chart(figure, f"Histogram of {len(scores)} image scores: good and defective images.{marked}")


def defect_types(scores: pd.DataFrame) -> list[str]:
    """The names of the defect types, sorted; good is none."""
    return sorted(scores.loc[scores["gt_label"] == 1, "defect_type"].unique())


def mark_threshold(axes: Axes, threshold: float, *, named: bool = False) -> None:
    """A dashed line; with its name at its head, outside the axes."""
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    if named:
        axes.text(threshold, 1.01, "threshold", transform=axes.get_xaxis_transform(), ha="center", va="bottom")


def _bars(axes: Axes, scores: pd.DataFrame, edges: NDArray[np.float64], *, legend: Corner) -> None:
    for label, name, colour in ((0, "good", GOOD), (1, "defective", DEFECTIVE)):
        values = scores.loc[scores["gt_label"] == label, "pred_score"]
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.75, label=f"{name} ({len(values)})")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.tick_params(labelbottom=False, length=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("images")
    axes.grid(axis="y")
    axes.legend(loc=legend, borderpad=0, labelspacing=0.3)


def num_bins(count: int) -> int:
    return int(np.clip(2 * count**0.5, *BINS))


def bin_edges(limits: tuple[float, float], bins: int, threshold: float | None) -> NDArray[np.float64]:
    """Edges of about `bins` equal bars over `limits`, the threshold one of them: no bar stands on both sides of it."""
    low, high = limits
    width, start = (high - low) / bins, low if threshold is None else threshold
    first, last = np.floor((low - start) / width + 1e-9), np.ceil((high - start) / width - 1e-9)
    return np.asarray(start + width * np.arange(first, last + 1), np.float64)


def _rug(axes: Axes, scores: pd.DataFrame, types: Sequence[str]) -> None:
    """One row of ticks for good images and for each defect type, good on top."""
    is_good = scores["gt_label"] == 0
    rows = [("good", is_good, GOOD)]
    rows += [(name, ~is_good & (scores["defect_type"] == name), DEFECTIVE) for name in types]
    for row, (_, chosen, colour) in enumerate(rows):
        values = scores.loc[chosen, "pred_score"]
        axes.plot(values, np.full(len(values), -row), "|", color=colour, markersize=11, markeredgewidth=1.4)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.set_yticks(-np.arange(len(rows)), [short(name) for name, _, _ in rows], parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("pred_score (higher is more anomalous)")


def span(values: Sequence[float], *others: float | None) -> tuple[float, float]:
    """The range of the values, and of what else must be seen, a little wider; never empty."""
    everything = [*values, *(value for value in others if value is not None)]
    lowest, highest = (min(everything), max(everything)) if everything else (0.0, 1.0)
    margin = 0.03 * (highest - lowest) or max(abs(lowest), 1.0) * 0.05
    return lowest - margin, highest + margin


@mpl.rc_context(STYLE)
def roc(curve: pd.DataFrame) -> Chart:
    """The ROC of images, columns fpr and tpr, fractions; the dashed line is guessing."""
    figure, axes = _square("good images rejected (fpr)", "defective images found (tpr)")
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=1, linestyle=(0, (4, 4)))
    _filled(axes, curve["fpr"], curve["tpr"])
    return Chart(figure, "ROC of images: share of defective ones found over share of good ones rejected.")


@mpl.rc_context(STYLE)
def precision_recall(curve: pd.DataFrame) -> Chart:
    """Precision over recall of images, columns recall and precision, fractions."""
    figure, axes = _square("defective images found (recall)", "of those flagged, defective")
    ordered = curve.sort_values("recall", kind="stable")
    _filled(axes, ordered["recall"], ordered["precision"])
    return Chart(figure, "Precision of images over recall: how many of those flagged are defective.")


@mpl.rc_context(STYLE)
def region_overlap(curve: pd.DataFrame, *, limit: float) -> Chart:
    """PRO over false positive pixels, columns fpr and pro, fractions; AUPRO is the area up to the dashed `limit`."""
    figure, axes = _square("good pixels flagged (fpr)", "overlap with defect regions (PRO)")
    _filled(axes, curve["fpr"], curve["pro"], until=limit)
    axes.axvline(limit, color=INK, alpha=0.5, linewidth=1, linestyle=(0, (4, 4)))
    return Chart(figure, f"Overlap with defect regions over good pixels flagged; counted up to {limit}.")


def _square(below: str, beside: str) -> "tuple[mpl.figure.Figure, Axes]":
    figure = new_figure(300, 304)
    axes = new_axes(figure, left=46, bottom=42, right=10, top=18)
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.01), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.grid()
    return figure, axes


def _filled(axes: Axes, xs: "pd.Series[float]", ys: "pd.Series[float]", *, until: float = 1.0) -> None:
    axes.fill_between(xs, ys, where=xs <= until, color=GOOD, alpha=0.12, linewidth=0)
    axes.plot(xs, ys, color=GOOD, linewidth=2)


@mpl.rc_context(STYLE)
def training_curve(training: pd.DataFrame) -> Chart:
    """Loss over epochs, columns epoch and loss (bits per dimension; may be negative)."""
    figure = new_figure(300, 304)
    axes = new_axes(figure, left=56, bottom=42, right=10, top=18)
    marker = "o" if len(training) <= 30 else ""
    axes.plot(training["epoch"], training["loss"], marker, color=GOOD, ls="-", linewidth=2, markersize=4)
    axes.set_xlim(training["epoch"].min() - 0.5, training["epoch"].max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss, bits per dimension")
    axes.grid()
    return Chart(figure, "Training loss in bits per dimension over epochs.")


@mpl.rc_context(STYLE)
def heat_legend(*, low: float, threshold: float) -> Chart:
    """The colours of the heat as they look on a mid-grey part, from `low` to as far above the threshold."""
    steps = 96
    top = 2 * threshold - low
    values = np.linspace(low, top, steps, dtype=np.float32)[None]
    grey = np.full((1, steps, 3), 128, np.uint8)
    colours = blend(grey, heat_colours(values, low=low, threshold=threshold))[0]
    figure = new_figure(420, 54)
    axes = new_axes(figure, left=36, bottom=34, right=36, top=4)
    spans = [(step / steps, 1 - step / steps) for step in range(steps)]  # to the end: no seams between
    axes.broken_barh(spans, (0, 1), facecolors=colours / 255, linewidth=0)
    axes.axvline(0.5, color=INK, linewidth=1.5, ymin=-0.3, ymax=1, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
    axes.spines[:].set_visible(False)
    labels = [f"{low:.3g}\nlow", f"{threshold:.3g}\npixel threshold", f"{top:.3g}\nand above"]
    axes.set_xticks([0, 0.5, 1], labels, parse_math=False)
    axes.tick_params(length=0)
    return Chart(figure, f"Colour scale of the heat: transparent at {low:.3g}, pixel threshold {threshold:.3g}.")
