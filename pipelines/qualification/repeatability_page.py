"""The page of a study of repeatability: every shot's score, where the spread comes from, verdicts that flip."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from fastflow.maps import resize_map
from pipelines.qualification.certificate_page import pair
from pipelines.qualification.repeatability_record import Cell, Repeatability
from pipelines.qualification.repeatability_words import HEADINGS, cautions, level, percent, shown
from pipelines.qualification.trial import Example
from pipelines.reporting.pages.charts import heat_legend, span
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, short, svg
from pipelines.reporting.pages.page import page

MARKERS = "osD^v<>pP*"  # of operators, in turns
LARGEST_SIDE = 512  # of a picture before its heat is laid over it
MOST_NAMED = 40  # parts that a chart can name


class Seen(NamedTuple):
    """A shot to be shown: its cell and place there, its pixels (H, W, 3) and anomaly_map (h, w)."""

    cell: Cell
    shot: int
    pixels: NDArray[np.uint8]
    anomaly_map: NDArray[np.float32]


def render(
    record: Repeatability, seen: Sequence[Seen], *, threshold: Mapping[str, float], about: Mapping[str, str]
) -> str:
    scale = {"low": threshold["low"], "threshold": threshold["pixel"]}
    judged = level(record)
    operators = f" by {len(record.operators)} operators" if record.operators else ""
    shots = sum(len(cell.scores) for cell in record.cells)
    return page(
        "repeatability.html",
        title=f"Does it repeat itself? {record.category}",
        subtitle=f"{shots} shots of {len(record.parts)} parts{operators}, judged by model {record.model}",
        record=record,
        level=judged,
        heading=HEADINGS[judged],
        shown=shown(record),
        cautions=cautions(record),
        share=percent(record.share.value),
        limits=f"{percent(record.share.low)} to {percent(record.share.high)}",
        scores=svg(shots_chart(record)),
        spread=svg(spread_chart(record)),
        parts=[part_row(record, part) for part in by_mean(record)],
        agreements=[*record.within, *record.between],
        sources=[(one.name, one.degrees, one.mean_square) for one in record.sources],
        pictures=pictures(seen, scale),
        legend=svg(heat_legend(**scale)),
        about=about,
    )


def by_mean(record: Repeatability) -> list[str]:
    """Parts by rising mean score."""
    scores = {part: [s for cell in record.cells if cell.part == part for s in cell.scores] for part in record.parts}
    return sorted(scores, key=lambda part: float(np.mean(scores[part])))


def part_row(record: Repeatability, part: str) -> dict[str, Any]:
    own = [cell for cell in record.cells if cell.part == part]
    scores = [score for cell in own for score in cell.scores]
    labels = [label for cell in own for label in cell.labels]
    return {
        "part": part,
        "shots": len(scores),
        "low": min(scores),
        "mean": float(np.mean(scores)),
        "high": max(scores),
        "rejected": sum(labels),
        "flips": part in record.flipped,
    }


def pictures(seen: Sequence[Seen], scale: Mapping[str, float]) -> list[dict[str, Any]]:
    """Of each part its shots, plain and with heat."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in seen:
        example = Example(smaller(one.pixels), np.empty(0, np.float32))
        whole = resize_map(one.anomaly_map, (example.pixels.shape[0], example.pixels.shape[1]))
        who = f"{one.cell.operator}, " if one.cell.operator else ""
        found.setdefault(one.cell.part, []).append(
            {
                "name": f"{who}{one.cell.shots[one.shot]}",
                "score": one.cell.scores[one.shot],
                "rejected": bool(one.cell.labels[one.shot]),
                "pair": pair(example._replace(anomaly_map=whole), **scale),
            }
        )
    return [{"part": part, "shots": shots} for part, shots in found.items()]


def smaller(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every n-th pixel, so that the longer side has at most `LARGEST_SIDE`: it is shown smaller still."""
    step = -(-max(pixels.shape[:2]) // LARGEST_SIDE)
    return pixels[::step, ::step]


@mpl.rc_context(STYLE)
def shots_chart(record: Repeatability) -> Chart:
    """Each shot's score, by part; the threshold, and around it where a single verdict is not sure."""
    parts, operators = by_mean(record), record.operators or [""]
    figure = new_figure(1100, 330)
    axes = new_axes(figure, left=62, bottom=70, right=14, top=30)
    everything = [score for cell in record.cells for score in cell.scores]
    axes.axhspan(*record.doubtful, color=INK, alpha=0.08, linewidth=0)
    axes.axhline(record.threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    for number, operator in enumerate(operators):
        for label, colour in ((0, GOOD), (1, DEFECTIVE)):
            points = [
                (parts.index(cell.part) + offset(number, len(operators)), score)
                for cell in record.cells
                if cell.operator == operator or not record.operators
                for score, own in zip(cell.scores, cell.labels, strict=True)
                if own == label
            ]
            if points:
                axes.plot(*zip(*points, strict=True), MARKERS[number % len(MARKERS)], color=colour, ms=6, alpha=0.75)
    for number, operator in enumerate(record.operators):
        axes.plot([], [], MARKERS[number % len(MARKERS)], color=INK, ms=6, label=short(operator))
    axes.set(xlim=(-0.6, len(parts) - 0.4), ylim=span(everything, *record.doubtful))
    if len(parts) <= MOST_NAMED:
        names = [short(part) for part in parts]
        axes.set_xticks(range(len(parts)), names, rotation=30, ha="right", parse_math=False)
    axes.set_ylabel("score")
    axes.grid(axis="y")
    if record.operators:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderpad=0)
    flipped = f"; {len(record.flipped)} parts are on both sides" if record.flipped else ""
    return Chart(figure, f"Scores of {len(everything)} shots by part, and the threshold{flipped}.")


def offset(number: int, count: int) -> float:
    """Of an operator's shots beside those of the others."""
    return 0.0 if count == 1 else 0.5 * (number / (count - 1) - 0.5)


@mpl.rc_context(STYLE)
def spread_chart(record: Repeatability) -> Chart:
    """Standard deviations over that of all variation; the gauge's with its limits, and AIAG's two marks."""
    spreads = record.spreads
    rows = [("the inspection", spreads.gauge, DEFECTIVE)]
    if spreads.reproducibility is not None:
        rows += [("  shots", spreads.repeatability, DEFECTIVE), ("  operators", spreads.reproducibility, DEFECTIVE)]
    rows.append(("parts", spreads.parts, GOOD))
    figure = new_figure(520, 60 + 40 * len(rows))
    axes = new_axes(figure, left=104, bottom=40, right=20, top=10)
    for row, (name, value, colour) in enumerate(rows):
        axes.barh(-row, value / spreads.total, height=0.55, color=colour, alpha=0.4 if name.startswith(" ") else 0.85)
    axes.plot([record.share.low, record.share.high], [0, 0], color=INK, linewidth=1.6)
    for end in (record.share.low, record.share.high):
        axes.plot([end, end], [-0.14, 0.14], color=INK, linewidth=1.6)
    for mark in (0.1, 0.3):
        axes.axvline(mark, color=INK, alpha=0.55, linewidth=1, linestyle=(0, (4, 4)))
    axes.set_yticks([-row for row in range(len(rows))], [name for name, *_ in rows])
    axes.set_xticks([0, 0.1, 0.3, 0.5, 1], ["0", "10 %", "30 %", "50 %", "100 %"])
    axes.set(xlim=(0, 1.02))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("of all variation in the score")
    return Chart(figure, f"The inspection's own spread is {percent(record.share.value)} of all variation.")
