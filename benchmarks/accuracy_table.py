"""Several categories' figures as one Markdown table: mean and deviation of seeds, and their mean over categories."""

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.published import MVTEC

METRICS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
PAPER = ("paper, image", "paper, pixel")
MEAN = "mean"


def table(categories: Mapping[str, Mapping[str, Any]], *, paper: bool = False) -> str:
    """One row a category, and their mean where there is more than one. `categories`: by name, each as
    `benchmarks.accuracy.summarise` makes it. `paper`: with the published figures of MVTec AD, where there are such."""
    head = ["", *METRICS.values(), "seconds a seed", *(PAPER if paper else ())]
    lines = [_row(head), _row(["---"] * len(head))]
    for name, figures in categories.items():
        cells = [f"`{name}`", *(_cell(figures[metric]) for metric in METRICS), f"{figures['seconds']:.0f}"]
        lines.append(_row([*cells, *(_published(name) if paper else ())]))
    if len(categories) > 1:
        means = [_mean([figures[metric]["mean"] for figures in categories.values()]) for metric in METRICS]
        seconds = _mean([figures["seconds"] for figures in categories.values()], digits=0)
        known = [MVTEC[name] for name in categories if name in MVTEC]
        published = [_mean(values) for values in zip(*known, strict=True)] or ["", ""]
        lines.append(_row([MEAN, *means, seconds, *(published if paper else ())]))
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(metric: Mapping[str, Any]) -> str:
    if metric["mean"] is None:
        return "undefined"
    return f"{metric['mean']:.3f}" + (f" ± {metric['std']:.3f}" if metric["std"] is not None else "")


def _published(name: str) -> list[str]:
    return [f"{value:.3f}" for value in MVTEC[name]] if name in MVTEC else ["", ""]


def _mean(values: list[float] | tuple[float, ...], *, digits: int = 3) -> str:
    """Of all; undefined where one is, since a mean of fewer categories is another figure."""
    if any(value is None for value in values):
        return "undefined"
    return f"{mean(values):.{digits}f}"
