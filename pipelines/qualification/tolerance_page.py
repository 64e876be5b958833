"""The page of a tolerance: the table, and for each change its curve and how a part looks at each step."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np

from pipelines.qualification.certificate_page import uri
from pipelines.qualification.tolerance_file import Tolerance, Tolerated
from pipelines.qualification.tolerance_trial import Trial
from pipelines.qualification.tolerance_words import (
    TITLES,
    allowed,
    amount,
    by_kind,
    headline,
    limit,
    row,
    sentence,
)
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, svg
from pipelines.reporting.pages.page import page
from pipelines.training.changes import CHANGES, KINDS, in_units

SHOWN = 0  # the picture that all steps are shown of


def render(result: Tolerance, trial: Trial, *, about: Mapping[str, str]) -> str:
    kinds = by_kind(result)
    return page(
        "tolerance.html",
        title=f"Light, focus, position: {result.category}",
        subtitle=f"How much may they change before good parts are rejected? Judged by model {result.model}",
        headline=headline(result),
        all_allowed=all(one.allowed is not None for one in result.changes)
        and result.unchanged.count <= result.limit * result.unchanged.total,
        limit=limit(result),
        kinds=[
            {
                "name": TITLES[kind],
                "explained": KINDS[kind],
                "allowed": row(changes),
                "changes": [view(one, result, trial) for one in changes],
            }
            for kind, changes in kinds.items()
        ],
        grey=result.grey,
        total=result.unchanged.total,
        tried=facts_of(result),
        about=about,
    )


def facts_of(result: Tolerance) -> dict[str, str]:
    return {
        "photographs": f"{result.unchanged.total} good ones that the model has not seen, "
        f"{result.width} x {result.height} pixels",
        "limit of the false-reject rate": f"{100 * result.limit:.3g} %",
        "threshold of the score": f"{result.threshold:.6g}",
        "seed": str(result.seed),
    }


def view(one: Tolerated, result: Tolerance, trial: Trial) -> dict[str, Any]:
    """What the template shows of a change."""
    change = next(change for change in CHANGES if (change.kind, change.name) == (one.kind, one.name))
    pixels = trial.read(SHOWN)
    tried = change.steps[: len(one.steps)]
    assert [in_units(change, step, min(trial.shape)) for step in tried] == [step.amount for step in one.steps]
    pictures = [uri(trial.altered(change, step, SHOWN, pixels)) for step in tried]
    names = [amount(step.amount, one.unit) for step in one.steps]
    return {
        "name": one.name,
        "allowed": allowed(one),
        "sentence": sentence(one),
        "chart": svg(rate_chart(one, result)),
        "steps": [
            {"name": name, "count": step.count, "total": step.total, "outside": step.outside, "picture": own}
            for name, step, own in zip(
                ["unchanged", *names], [result.unchanged, *one.steps], [uri(pixels), *pictures], strict=True
            )
        ],
    }


@mpl.rc_context(STYLE)
def rate_chart(one: Tolerated, result: Tolerance) -> Chart:
    """The share of good pictures rejected over the steps, from none on, with its exact limits."""
    figure = new_figure(340, 220)
    axes = new_axes(figure, left=50, bottom=44, right=12, top=14)
    steps = [result.unchanged, *one.steps]
    places = np.arange(len(steps))
    for place, step in zip(places, steps, strict=True):
        colour = DEFECTIVE if step.outside else GOOD
        axes.plot([place, place], [step.low, step.high], color=colour, alpha=0.4, linewidth=1.6)
        axes.plot([place], [step.count / step.total], "o", color=colour, markersize=6)
    axes.axhline(result.limit, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (4, 4)))
    axes.set(xlim=(-0.5, max(len(steps), 5) - 0.5), ylim=(-0.03, 1.03))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "50 %", "", "100 %"])
    axes.set_xticks(places, ["none", *(f"{step.amount:.3g}" for step in one.steps)])
    axes.set_xlabel(f"{one.name}, {one.unit}" if one.unit else one.name)
    axes.set_ylabel("good parts rejected")
    axes.grid(axis="y")
    return Chart(figure, f"Share of good parts rejected: {sentence(one)}.")
