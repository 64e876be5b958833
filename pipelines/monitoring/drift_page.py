"""The page of a drift check: calibration and recent images side by side."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from pipelines.monitoring.drift_rules import LEVELS, Shift, Verdict
from pipelines.reporting.pages.charts import bin_edges, mark_threshold, num_bins, span
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, svg
from pipelines.reporting.pages.page import page

HEADINGS = {
    "too_few": "Too few images to tell",
    "same": "As in calibration",
    "camera": "The photographs changed",
    "scores": "The scores changed",
    "defects": "More rejects than usual",
}
LABELS = {
    "pred_score": "pred_score",
    "brightness": "brightness, grey levels",
    "contrast": "contrast, grey levels",
    "sharpness": "sharpness",
}


def render(
    category: str,
    verdict: Verdict,
    recent: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    threshold: float,
    about: Mapping[str, str],
) -> str:
    """The page; `recent` oldest first."""
    shown = len(recent) > 0
    return page(
        "drift.html",
        title=f"Drift: {category}",
        subtitle=f"{len(recent)} recent photographs beside {len(reference)} of the calibration",
        verdict=verdict,
        heading=HEADINGS[verdict.kind],
        scores=svg(then_and_now("pred_score", recent, reference, threshold=threshold, wide=True)) if shown else "",
        course=svg(score_course(recent["pred_score"], threshold)) if shown else "",
        levels={name: svg(then_and_now(name, recent, reference)) for name in LEVELS if shown},
        sizes=sizes(recent, reference),
        shifts=[shift_row(shift) for shift in verdict.shifts],
        about=about,
    )


@mpl.rc_context(STYLE)
def then_and_now(
    name: str, recent: pd.DataFrame, reference: pd.DataFrame, *, threshold: float | None = None, wide: bool = False
) -> Chart:
    """Shares of images by one column, of the calibration and recent ones."""
    now, then = (table[name].to_numpy(np.float64) for table in (recent, reference))
    figure = new_figure(560 if wide else 300, 250)
    axes = new_axes(figure, left=46, bottom=42, right=10, top=26)
    limits = span([*now, *then], threshold)
    edges = bin_edges(limits, num_bins(min(len(now), len(then))), threshold)
    for values, label, colour in ((then, f"calibration ({len(then)})", GOOD), (now, f"recent ({len(now)})", DEFECTIVE)):
        share = np.histogram(values, edges)[0] / len(values)
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(share, edges, color=colour, linewidth=1.6, label=label)
    if threshold is not None:
        mark_threshold(axes, threshold, named=True)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.3 * axes.get_ylim()[1]))  # room for the legend
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(LABELS[name])
    axes.set_ylabel("share of images")
    axes.grid(axis="y")
    axes.legend(loc="upper right", borderpad=0, labelspacing=0.3)
    return Chart(figure, f"Share of images by {name}, of {len(then)} calibration images and {len(now)} recent ones.")


@mpl.rc_context(STYLE)
def score_course(scores: "pd.Series[float]", threshold: float) -> Chart:
    """Recent scores in order, those above the threshold marked."""
    figure = new_figure(560, 250)
    axes = new_axes(figure, left=46, bottom=42, right=10, top=26)
    number, above = np.arange(1, len(scores) + 1), (scores > threshold).to_numpy()
    for chosen, label, colour in ((~above, "accepted", GOOD), (above, "rejected", DEFECTIVE)):
        axes.plot(number[chosen], scores[chosen], ".", color=colour, markersize=6, label=f"{label} ({chosen.sum()})")
    axes.axhline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set(xlim=(0, len(scores) + 1), ylim=span(scores.tolist(), threshold))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("recent images, in the order of the score file or of time")
    axes.set_ylabel("pred_score")
    axes.grid(axis="y")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, borderpad=0, columnspacing=1.2)
    return Chart(figure, f"Scores of {len(scores)} recent images in order; {int(above.sum())} are above the threshold.")


def sizes(recent: pd.DataFrame, reference: pd.DataFrame) -> list[dict[str, Any]]:
    """A row per size of the photographs, the most frequent first: how many of the calibration and recent ones."""
    counted = [table.groupby(["width", "height"]).size() for table in (reference, recent)]
    both = pd.concat(counted, axis=1, keys=["then", "now"]).fillna(0).astype(int)
    both = both.sort_values(["then", "now"], ascending=False).head(6).reset_index()
    return [{"size": f"{row.width} x {row.height}", "then": row.then, "now": row.now} for row in both.itertuples()]


def shift_row(shift: Shift) -> dict[str, Any]:
    return shift._asdict() | {
        "label": LABELS[shift.name],
        "p": "<0.0001" if shift.p_value < 1e-4 else f"{shift.p_value:.4f}",
    }
