"""Common to all charts: their style, axes with fixed margins, and their two formats.

As inline SVG without ids, styles or links, text and axes take the page's colour. Deterministic: the same numbers give
the same text. Names are plain text, whatever they hold.
"""

import io
import warnings
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's text colour
GOOD, DEFECTIVE = "#3b82c4", "#e2762b"  # told apart with any colour vision, on white and on black
MAX_NAME_CHARACTERS = 18  # of a name beside a chart
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


class Chart(NamedTuple):
    """A drawn figure, and what it shows in a sentence for those who cannot see it."""

    figure: Figure
    label: str


def new_figure(width: float, height: float) -> Figure:
    """A figure of CSS pixels."""
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def new_axes(figure: Figure, *, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with the given margins in pixels: fixed, so that no text need be measured."""
    width, height = figure.get_size_inches() * 72
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )


def short(name: str) -> str:
    """A name that fits and that XML can hold: controls and lone surrogates are shown as a box."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in name)
    return clean if len(clean) <= MAX_NAME_CHARACTERS else clean[: MAX_NAME_CHARACTERS - 1] + "…"


def png(chart: Chart) -> bytes:
    """The chart on white, twice as large, for where no page is around it."""
    return _saved(chart, "png", dpi=144, facecolor="white", metadata={"Software": None})


def svg(chart: Chart) -> Markup:
    """The chart for inlining in a page with a strict policy and with other charts.

    Styles become attributes, markers are drawn where they are used, ids, links, clips and fonts go.
    """
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    root = ElementTree.fromstring(_saved(chart, "svg", transparent=True, metadata=nothing))
    shapes = {e.get("id", ""): e for e in root.iter() if e.get("id")}
    plain = ElementTree.Element("svg", viewBox=root.get("viewBox", ""), role="img")
    plain.set("aria-label", chart.label)
    for element in root.iter():
        if _tag(element) in ("path", "text") and not element.get("id"):  # with an id: a marker's shape
            plain.append(_copy(element))
        elif _tag(element) == "use":
            target = next(v for k, v in element.items() if k.endswith("href"))
            mark = _copy(shapes[target[1:]], element)
            mark.set("transform", f"translate({element.get('x')} {element.get('y')})")
            plain.append(mark)
    return Markup(ElementTree.tostring(plain, encoding="unicode"))


def _saved(chart: Chart, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), mpl.rc_context(STYLE):
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has the glyph
        chart.figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


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
