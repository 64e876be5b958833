"""The page of a check of master parts: what each was expected to be, what the model said, and how that was before."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fastflow.decode import read_image
from fastflow.detector import Detector
from fastflow.maps import resize_map
from pipelines.qualification.certificate_page import pair
from pipelines.qualification.masters_record import Judged, MastersCheck, when
from pipelines.qualification.repeatability_page import smaller
from pipelines.qualification.shots import Shot
from pipelines.qualification.trial import Example
from pipelines.reporting.pages.charts import heat_legend
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, svg
from pipelines.reporting.pages.page import page

CHARTED, LISTED = 60, 12  # checks before this one, too
VERDICTS = ("accepted", "rejected")  # by pred_label


def render(
    history: Sequence[MastersCheck],
    shots: Sequence[Shot],
    maps: Sequence[NDArray[np.float32]],
    *,
    detector: Detector,
    about: Mapping[str, str],
) -> str:
    """`history`: oldest first, the last of them the check whose `shots` and anomaly `maps` these are."""
    check, threshold = history[-1], detector.threshold
    scale = {"low": threshold["low"], "threshold": threshold["pixel"]}
    order = sorted(range(len(shots)), key=lambda place: (check.shots[place].right, margin(check.shots[place], check)))
    photographs = "photographs taken anew" if check.new_photographs else "stored photographs"
    return page(
        "masters.html",
        title=f"Master parts: {check.category}",
        subtitle=f"{when(check.time)}, on {photographs}, by model {check.model}",
        check=check,
        result=check.result[0].upper() + check.result[1:],
        count={kind: len({one.part for one in check.shots if one.expect == kind}) for kind in ("good", "defect")},
        nearest=min(check.shots, key=lambda one: margin(one, check)),
        photographs=[
            photograph(check.shots[place], check, shots[place], maps[place], detector=detector, scale=scale)
            for place in order
        ],
        chart=svg(margins_chart(history[-CHARTED:])),
        checks=[
            {"time": when(one.time), "model": one.model, "new": one.new_photographs, "parts": len(one.parts)}
            | {"wrong": one.wrong, "margin": one.margin}
            for one in reversed(history[-LISTED:])
        ],
        earlier=len(history) - LISTED,
        legend=svg(heat_legend(**scale)),
        about=about,
    )


def margin(one: Judged, check: MastersCheck) -> float:
    """How far a photograph is from the wrong side of the threshold."""
    return (one.pred_score - check.threshold) * (1 if one.expect == "defect" else -1)


def photograph(
    one: Judged,
    check: MastersCheck,
    shot: Shot,
    anomaly_map: NDArray[np.float32],
    *,
    detector: Detector,
    scale: Mapping[str, float],
) -> dict[str, Any]:
    """What the page shows of a photograph."""
    pixels = smaller(read_image(shot.path, rule=detector.frame.rule))
    whole = resize_map(anomaly_map, (pixels.shape[0], pixels.shape[1]))
    return {
        "part": one.part,
        "file": one.file,
        "expected": VERDICTS[one.expect == "defect"],
        "verdict": VERDICTS[one.pred_label],
        "right": one.right,
        "score": one.pred_score,
        "margin": margin(one, check),
        "pair": pair(Example(pixels, whole), **scale),
    }


@mpl.rc_context(STYLE)
def margins_chart(history: Sequence[MastersCheck]) -> Chart:
    """Of each part, the score that is nearest to the wrong side, above or below the threshold, over the checks."""
    figure = new_figure(1100, 300)
    axes = new_axes(figure, left=62, bottom=46, right=14, top=30)
    numbers = np.arange(1, len(history) + 1)
    courses: dict[tuple[str, str], NDArray[np.float64]] = {}
    for number, check in enumerate(history):
        for one in check.shots:
            course = courses.setdefault((one.part, one.expect), np.full(len(history), np.nan))
            worst = min if one.expect == "defect" else max
            value = one.pred_score - check.threshold
            course[number] = value if np.isnan(course[number]) else worst(course[number], value)
    for (_, expect), course in courses.items():
        colour = DEFECTIVE if expect == "defect" else GOOD
        axes.plot(numbers, course, "o-", color=colour, ms=4, linewidth=1.4, alpha=0.7)
        wrong = (course <= 0) if expect == "defect" else (course > 0)
        axes.plot(numbers[wrong], course[wrong], "o", color=INK, markerfacecolor="none", ms=10, markeredgewidth=1.6)
    for colour, name in ((GOOD, "good parts"), (DEFECTIVE, "defective parts")):
        axes.plot([], [], "o-", color=colour, ms=4, label=name)
    axes.plot([], [], "o", color=INK, markerfacecolor="none", ms=9, label="wrong verdict")
    axes.axhline(0, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    for number in [n for n in range(1, len(history)) if history[n].model != history[n - 1].model]:
        axes.axvline(number + 0.5, color=INK, alpha=0.5, linewidth=1, linestyle=(0, (1, 2)))
    axes.set(xlim=(0.5, len(history) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(min(12, len(history)), integer=True))
    axes.set_xlabel("checks, the last one to the right")
    axes.set_ylabel("score, from the threshold")
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderpad=0)
    return Chart(figure, f"How far each master part's score is from the threshold, over {len(history)} checks.")
