"""Charts of the report as inline SVG without ids, styles or links: text and axes take the page's colour.

Deterministic: the same numbers give the same text. Names of defect types are plain text, whatever they hold.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.pictures import blend, heat_colours

INK = "#010203"  # stands for the page's text colour
GOOD, DEFECTIVE = "#3b82c4", "#e2762b"  # told apart with any colour vision, on white and on black
LONGEST_NAME = 18  # characters of a defect type's name that fit beside the chart
BINS = (12, 40)  # fewest and most bars of a histogram
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 11,
    "axes.edgecolor": INK,
    "axes.formatter.useoffset": False,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "legend.handlelength": 1.0,
}


def score_histogram(scores: pd.DataFrame) -> str:
    """How many good and defective images have which pred_score; below, each image as a tick, by defect type.

    Columns defect_type, gt_label, pred_score.
    """
    types = defect_types(scores)
    strip = 17 * (len(types) + 1)
    with mpl.rc_context(STYLE):
        figure = _figure(560, 236 + strip)
        top = _axes(figure, left=124, bottom=strip + 50, right=8, top=26)
        low = _axes(figure, left=124, bottom=42, right=8, top=190)
        _bars(top, scores)
        _rug(low, scores, types)
        for axes in (top, low):
            axes.set_xlim(*_limits(scores["pred_score"]))
        return _svg(figure, f"Histogram of {len(scores)} image scores: good and defective images.")


def defect_types(scores: pd.DataFrame) -> list[str]:
    """The names of the defect types, sorted; good is none."""
    return sorted(scores.loc[scores["gt_label"] == 1, "defect_type"].unique())


def _bars(axes: Axes, scores: pd.DataFrame) -> None:
    bins = int(np.clip(2 * len(scores) ** 0.5, *BINS))
    edges = np.linspace(*_limits(scores["pred_score"]), bins + 1)
    for label, name, colour in ((0, "good", GOOD), (1, "defective", DEFECTIVE)):
        values = scores.loc[scores["gt_label"] == label, "pred_score"]
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.75, label=f"{name} ({len(values)})")
    axes.tick_params(labelbottom=False, length=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("images")
    axes.grid(axis="y")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2, borderpad=0, columnspacing=1.2)


def _rug(axes: Axes, scores: pd.DataFrame, types: Sequence[str]) -> None:
    """One row of ticks for good images and for each defect type, good on top."""
    is_good = scores["gt_label"] == 0
    rows = [("good", is_good, GOOD)]
    rows += [(name, ~is_good & (scores["defect_type"] == name), DEFECTIVE) for name in types]
    for row, (_, chosen, colour) in enumerate(rows):
        values = scores.loc[chosen, "pred_score"]
        axes.plot(values, np.full(len(values), -row), "|", color=colour, markersize=11, markeredgewidth=1.4)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.set_yticks(-np.arange(len(rows)), [_short(name) for name, _, _ in rows], parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("pred_score (higher is more anomalous)")


def _limits(values: "pd.Series[float]") -> tuple[float, float]:
    """The range of the values, a little wider; never empty."""
    lowest, highest = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.03 * (highest - lowest) or max(abs(lowest), 1.0) * 0.05
    return lowest - margin, highest + margin


def _short(name: str) -> str:
    """A name that fits and that XML can hold: controls and lone surrogates are shown as a box."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in name)
    return clean if len(clean) <= LONGEST_NAME else clean[: LONGEST_NAME - 1] + "…"


def roc(curve: pd.DataFrame) -> str:
    """The ROC of images, columns fpr and tpr, fractions; the dashed line is guessing."""
    with mpl.rc_context(STYLE):
        figure = _figure(300, 304)
        axes = _axes(figure, left=46, bottom=42, right=10, top=18)
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=1, linestyle=(0, (4, 4)))
        axes.fill_between(curve["fpr"], curve["tpr"], color=GOOD, alpha=0.12, linewidth=0)
        axes.plot(curve["fpr"], curve["tpr"], color=GOOD, linewidth=2)
        axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.01), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xlabel("good images rejected (fpr)")
        axes.set_ylabel("defective images found (tpr)")
        axes.grid()
        return _svg(figure, "ROC of images: share of defective ones found over share of good ones rejected.")


def training_curve(training: pd.DataFrame) -> str:
    """Loss over epochs, columns epoch and loss (bits per dimension; may be negative)."""
    with mpl.rc_context(STYLE):
        figure = _figure(300, 304)
        axes = _axes(figure, left=56, bottom=42, right=10, top=18)
        marker = "o" if len(training) <= 30 else ""
        axes.plot(training["epoch"], training["loss"], marker, color=GOOD, ls="-", linewidth=2, markersize=4)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss, bits per dimension")
        axes.grid()
        return _svg(figure, "Training loss in bits per dimension over epochs.")


def heat_legend(*, low: float, threshold: float) -> str:
    """The colours of the heat as they look on a mid-grey part, from `low` to as far above the threshold."""
    steps = 96
    values = np.linspace(low, 2 * threshold - low, steps, dtype=np.float32)[None]
    grey = np.full((1, steps, 3), 128, np.uint8)
    colours = blend(grey, heat_colours(values, low=low, threshold=threshold))[0]
    with mpl.rc_context(STYLE):
        figure = _figure(420, 54)
        axes = _axes(figure, left=36, bottom=34, right=36, top=4)
        spans = [(step / steps, 1 - step / steps) for step in range(steps)]  # to the end: no seams between
        axes.broken_barh(spans, (0, 1), facecolors=colours / 255, linewidth=0)
        axes.axvline(0.5, color=INK, linewidth=1.5, ymin=-0.3, ymax=1, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
        axes.spines[:].set_visible(False)
        top = 2 * threshold - low
        labels = [f"{low:.3g}\nlow", f"{threshold:.3g}\nthreshold", f"{top:.3g}\nand above"]
        axes.set_xticks([0, 0.5, 1], labels, parse_math=False)
        axes.tick_params(length=0)
        return _svg(figure, f"Colour scale of the heat: transparent at {low:.3g}, threshold {threshold:.3g}.")


def _figure(width: float, height: float) -> Figure:
    """A figure of CSS pixels."""
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def _axes(figure: Figure, *, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with the given margins in pixels: fixed, so that no text need be measured."""
    width, height = figure.get_size_inches() * 72
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )


def _svg(figure: Figure, label: str) -> str:
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has the glyph
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _plain(buffer.getvalue(), label)


def _plain(text: str, label: str) -> str:
    """Matplotlib's SVG made fit for inlining in a page with a strict policy and with other SVGs.

    Styles become attributes, markers are drawn where they are used, ids, links, clips and fonts go.
    """
    root = ElementTree.fromstring(text)
    shapes = {e.get("id", ""): e for e in root.iter() if e.get("id")}
    svg = ElementTree.Element("svg", viewBox=root.get("viewBox", ""), role="img")
    svg.set("aria-label", label)
    for element in root.iter():
        if _tag(element) in ("path", "text") and not element.get("id"):  # with an id: a marker's shape
            svg.append(_copy(element))
        elif _tag(element) == "use":
            target = next(v for k, v in element.items() if k.endswith("href"))
            mark = _copy(shapes[target[1:]], element)
            mark.set("transform", f"translate({element.get('x')} {element.get('y')})")
            svg.append(mark)
    return ElementTree.tostring(svg, encoding="unicode")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _copy(shape: ElementTree.Element, user: ElementTree.Element | None = None) -> ElementTree.Element:
    """The shape with attributes in place of its style, and of its user's."""
    copy = ElementTree.Element(_tag(shape))
    copy.text = shape.text
    for name in ("d", "x", "y", "transform"):
        if value := shape.get(name):
            copy.set(name, " ".join(value.split()))
    for element in (shape, user):
        style = element.get("style", "") if element is not None else ""
        for rule in filter(None, style.split(";")):
            name, _, value = rule.partition(":")
            if name.strip() != "font-family":
                copy.set(name.strip(), value.strip().replace(INK, "currentColor"))
    return copy
