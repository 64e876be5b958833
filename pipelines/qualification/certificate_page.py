"""The page of a certificate: what is found, from which size on, and pictures of each step."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import NullFormatter, NullLocator
from PIL import Image
from scipy.special import expit

from fastflow.metrics.rates import rate_interval
from pipelines.qualification.certificate import Certificate, DetectionCurve, Step
from pipelines.qualification.detection import TARGET
from pipelines.qualification.sentences import (
    EXPLAINED,
    PLURALS,
    false_calls,
    headline,
    length,
    sentence,
    strength,
    why_not,
)
from pipelines.qualification.trial import Drawing, Example
from pipelines.reporting.pages.charts import heat_legend
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, svg
from pipelines.reporting.pages.page import page, webp
from pipelines.reporting.pictures import blend, heat_colours, small_webp

EXAMPLE_PIXELS = 160  # side of an example
NUM_TICKS = 5


def render(
    certificate: Certificate,
    examples: Mapping[Drawing, Example],
    *,
    threshold: Mapping[str, float],
    about: Mapping[str, str],
) -> str:
    scale = {"low": threshold["low"], "threshold": threshold["pixel"]}
    shown = {(one.curve, one.step): pair(example, **scale) for one, example in examples.items()}
    views = [view(number, curve, certificate, shown) for number, curve in enumerate(certificate.curves)]
    kinds = list(dict.fromkeys(curve.kind for curve in certificate.curves))
    contrasts = list(dict.fromkeys(curve.contrast for curve in certificate.curves))
    return page(
        "certificate.html",
        title=f"What can it find? {certificate.category}",
        subtitle=f"Defects drawn on good photographs, judged by model {certificate.model}",
        kinds=[
            {
                "name": PLURALS.get(kind, kind),
                "explained": EXPLAINED.get(kind, ""),
                "curves": [one for one in views if one["kind"] == kind],
            }
            for kind in kinds
        ],
        contrasts=[f"{strength(one)}, {one:.0%}" for one in contrasts],
        headlines=[
            headline([curve for curve in certificate.curves if curve.kind == kind], certificate.mm_per_pixel)
            for kind in kinds
        ],
        all_reached=all(curve.outcome == "reached" for curve in certificate.curves),
        false_calls=false_calls(certificate),
        legend=svg(heat_legend(**scale)),
        tried=facts_of(certificate),
        part_share=certificate.part_share,
        per_image=drawings_per_image(certificate),
        about=about,
    )


def drawings_per_image(certificate: Certificate) -> float:
    """How many defects of one curve a picture carries, on average, one at a time."""
    accepted = certificate.false_calls.total - certificate.false_calls.count
    return sum(step.drawn for step in certificate.curves[0].steps) / accepted


def facts_of(certificate: Certificate) -> dict[str, str]:
    """What was tried."""
    steps, total = certificate.curves[0].steps, certificate.false_calls.total
    return {
        "photographs": f"{total} good ones that the model has not seen, "
        f"{certificate.width} x {certificate.height} pixels",
        "drawn on": f"the {total - certificate.false_calls.count} that are accepted as they are",
        "sizes": f"{len(steps)}, from {length(steps[0].size, certificate.mm_per_pixel)} to "
        f"{length(steps[-1].size, certificate.mm_per_pixel)}",
        "drawings": f"{certificate.per_step} for each size, kind and contrast: "
        f"{sum(step.drawn for curve in certificate.curves for step in curve.steps):,}",
        "seed": str(certificate.seed),
        "threshold of the score": f"{certificate.threshold:.6g}",
    }


def view(
    number: int, curve: DetectionCurve, certificate: Certificate, shown: Mapping[tuple[int, int], tuple[str, str]]
) -> dict[str, Any]:
    """What the template shows of a curve, ready made."""
    scale = certificate.mm_per_pixel
    found = sum(step.found for step in curve.steps)
    return {
        "kind": curve.kind,
        "contrast": curve.contrast,
        "strength": strength(curve.contrast),
        "sentence": sentence(curve, scale),
        "reached": curve.a90_95 is not None,
        "limit": "not reached" if curve.a90_95 is None else length(curve.a90_95, scale),
        "why": "" if curve.a90_95 is not None else why_not(curve, scale),
        "a90": "" if curve.a90 is None else length(curve.a90, scale),
        "chart": svg(detection_chart(curve)),
        "located": f"{sum(step.located for step in curve.steps)} of {found}",
        "steps": [
            {
                "size": length(step.size, scale),
                "found": step.found,
                "drawn": step.drawn,
                "pictures": shown.get((number, place)),
            }
            for place, step in enumerate(curve.steps)
        ],
    }


def pair(example: Example, *, low: float, threshold: float) -> tuple[str, str]:
    """An example without and with heat, as data URIs."""
    heat = blend(example.pixels, heat_colours(example.anomaly_map, low=low, threshold=threshold))
    return uri(example.pixels), uri(heat)


def uri(pixels: Any) -> str:
    picture = Image.fromarray(pixels)
    if max(picture.size) < EXAMPLE_PIXELS:  # the browser would blur few pixels
        picture = picture.resize((EXAMPLE_PIXELS, EXAMPLE_PIXELS), Image.Resampling.NEAREST)
    picture.thumbnail((EXAMPLE_PIXELS, EXAMPLE_PIXELS), Image.Resampling.LANCZOS)
    return webp(small_webp(picture))


@mpl.rc_context(STYLE)
def detection_chart(curve: DetectionCurve) -> Chart:
    """The share that is found over size, its limits, what was observed, and a90/95."""
    figure = new_figure(340, 280)
    axes = new_axes(figure, left=46, bottom=42, right=14, top=26)
    sizes = np.array(curve.sizes)
    axes.set_xscale("log")
    axes.fill_between(sizes, curve.lower, curve.upper, color=GOOD, alpha=0.16, linewidth=0)
    axes.plot(sizes, expit(curve.intercept + curve.slope * np.log(sizes)), color=GOOD, linewidth=2)
    for step in curve.steps:
        observed(axes, step)
    axes.axhline(TARGET, color=INK, alpha=0.5, linewidth=1, linestyle=(0, (4, 4)))
    axes.set(xlim=(sizes[0] / 1.08, sizes[-1] * 1.08), ylim=(-0.02, 1.02))
    axes.set_yticks([0, 0.25, 0.5, 0.75, TARGET, 1], ["0", "", "50 %", "", "90 %", "100 %"])
    ticks = [float(f"{tick:.2g}") for tick in np.geomspace(sizes[0], sizes[-1], NUM_TICKS)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size, pixels")
    axes.grid(axis="y")
    marked = " a90/95 is not reached."
    if curve.a90_95 is not None:
        axes.axvline(curve.a90_95, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        name = f"a90/95: {curve.a90_95:g}"
        axes.text(curve.a90_95, 1.01, name, transform=axes.get_xaxis_transform(), ha=side(curve), va="bottom")
        marked = f" a90/95 is {curve.a90_95:g} pixels."
    label = f"Share of {strength(curve.contrast)} {PLURALS.get(curve.kind, curve.kind)} found over their size."
    return Chart(figure, label + marked)


def side(curve: DetectionCurve) -> Any:
    """Where the name of a90/95 has room: near an end, it is set inwards."""
    place = np.log(curve.a90_95 or 1) - np.log(curve.sizes[0])
    share = place / (np.log(curve.sizes[-1]) - np.log(curve.sizes[0]))
    return "left" if share < 0.2 else "right" if share > 0.8 else "center"


def observed(axes: Any, step: Step) -> None:
    """The share found of one size, with its exact 95 % limits."""
    low, high = rate_interval(step.found, step.drawn)
    axes.plot([step.size, step.size], [low, high], color=DEFECTIVE, alpha=0.4, linewidth=1.2)
    axes.plot([step.size], [step.found / step.drawn], "o", color=DEFECTIVE, markersize=5)
