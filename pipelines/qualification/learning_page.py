"""The page of a learning curve: the answer, the curve with what it is expected to do, and the table."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import NullFormatter, NullLocator

from pipelines.qualification.learning_file import Learning
from pipelines.qualification.learning_law import CONFIDENCE, Outlook
from pipelines.qualification.learning_words import answer, by_size, table
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, svg
from pipelines.reporting.pages.page import page

PLACES = 60  # at which the curve is drawn


def render(result: Learning, seen: Outlook, *, about: Mapping[str, str]) -> str:
    rows = table(result)
    return page(
        "learning.html",
        title=f"How many photographs? {result.category}",
        subtitle="False rejects over the number of good photographs that a model is trained on",
        answer=answer(result),
        outcome=result.outcome,
        chart=svg(learning_chart(result, seen)),
        columns=list(rows[0]),
        rows=[list(row.values()) for row in rows],
        target=result.target,
        more=result.more,
        total=result.points[0].total,
        num_seeds=len(by_size(result)[result.points[0].images]),
        certified=any(point.certified for point in result.points),
        law=result.model_dump(include={"floor", "scale", "power"}),
        about=about,
    )


@mpl.rc_context(STYLE)
def learning_chart(result: Learning, seen: Outlook) -> Chart:
    """The false-reject rate of each training over its images; the law, its limits, and how it goes on."""
    figure = new_figure(900, 380)
    axes = new_axes(figure, left=60, bottom=48, right=24, top=16)
    sizes = by_size(result)
    last, end = max(sizes), max(sizes) + result.more
    axes.set_xscale("log")
    places = np.geomspace(min(sizes), end, PLACES)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile([law.rate(places) for law in seen.laws], [tail, 1 - tail], axis=0)
    axes.fill_between(places, 100 * low, 100 * high, color=GOOD, alpha=0.16, linewidth=0)
    rates = 100 * seen.law.rate(places)
    axes.plot(places[places <= last], rates[places <= last], color=GOOD, linewidth=2)
    axes.plot(places[places >= last], rates[places >= last], color=GOOD, linewidth=2, linestyle=(0, (3, 2)))
    for size, points in sizes.items():
        own = [100 * len(point.rejected) / point.total for point in points]
        axes.plot([size] * len(own), own, "o", color=DEFECTIVE, markersize=6, alpha=0.6)
    axes.axhline(100 * result.target, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (4, 4)))
    top = max(100 * float(high.max()), *(100 * len(p.rejected) / p.total for p in result.points), 5.0)
    axes.set(xlim=(min(sizes) / 1.15, end * 1.08), ylim=(-0.02 * top, min(102.0, 1.05 * top)))
    ticks = [*sizes, end]
    axes.set_xticks(ticks, [*map(str, sizes), f"{end}\n(+{result.more})"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("good photographs to train on")
    axes.set_ylabel("good parts rejected, %")
    axes.grid(axis="y")
    return Chart(figure, f"False-reject rate over good photographs. {answer(result)}.")
