"""The report of a retraining: all categories on one page, or one of them alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.reporting.decision import INCONCLUSIVE, KEPT, REFUSED, ROLLED_BACK, in_words
from pipelines.reporting.miss_warning import warning
from pipelines.reporting.pages import charts
from pipelines.reporting.pages.cases import grouped_cases
from pipelines.reporting.pages.drawing import Chart, svg
from pipelines.reporting.pages.page import page
from pipelines.reporting.pages.region_charts import recall_by_size
from pipelines.reporting.pages.result import CategoryResult
from pipelines.reporting.pages.rows import region_rows, tradeoff_rows, type_rows

CHAMPION = "champion"
METRICS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
METHOD_ON_TEST = "misses"  # the method of a threshold that was chosen on labelled test images
COMPARED = ("image_auroc", "aupro")  # by the gate, with the champion
FACTS = ("num_train", "num_good", "num_defective", "milliseconds_per_image", "threshold")
VERDICTS = {"false_reject": ("false_rejects", "good parts rejected"), "miss": ("misses", "defective parts missed")}
AT_THRESHOLD = [name for rate, (count, _) in VERDICTS.items() for name in (count, f"{rate}_rate")]
SHOWN = (*METRICS, *FACTS, *AT_THRESHOLD)  # have places of their own in the page
_LIKELIHOOD = "from 0 to 1 and without a unit; at 0.5 a position's likelihood is that of the rarest normal ones"
UNITS = {  # of the anomaly map, by the name of the score
    "likelihood": _LIKELIHOOD,
    "likelihood_by_area": _LIKELIHOOD,
    "nll": "nats per dimension",
    "paper": "minus the exponential of the log-likelihood, from -1 to 0",
}
AUPRO_MAX_FPR = 0.3  # of false positive pixels


def render(
    results: Sequence[CategoryResult],
    *,
    title: str,
    subtitle: str,
    about: Mapping[str, str],
    missing: Mapping[str, str] | None = None,
) -> str:
    """The page. `about` is shown at its end; `missing` says why a category has no result, at its top."""
    views = [category_view(result) for result in results]
    return page(
        "report.html",
        title=title,
        subtitle=subtitle,
        about=about,
        missing=missing or {},
        refused=[view for view in views if view["verdict"] == REFUSED],
        inconclusive=[view for view in views if view["verdict"] == INCONCLUSIVE],
        blind=[view for view in views if view["warning"]],
        metric_names=METRICS,
        verdicts=VERDICTS,
        means=_means(results),
        categories=sorted(views, key=_urgency),  # what needs a person on top, else as they came
        untrained=[r.category for r in results if r.about.get("weights") == "random"],
    )


def _urgency(view: Mapping[str, Any]) -> int:
    order = (REFUSED, INCONCLUSIVE)
    return order.index(view["verdict"]) if view["verdict"] in order else len(order)


def figures(result: CategoryResult) -> dict[str, Chart]:
    """The category's charts by name; those that have nothing to show are left out."""
    threshold, curves = result.metrics.get("threshold"), result.curves
    found: dict[str, Chart] = {}
    if len(result.scores):
        found["scores"] = charts.score_histogram(result.scores, threshold=threshold)
    if len(curves["roc"]):
        found["roc"] = charts.roc(curves["roc"])
    if len(curves["pr"]):
        found["pr"] = charts.precision_recall(curves["pr"])
    if len(curves["pro"]):
        found["pro"] = charts.region_overlap(curves["pro"], limit=AUPRO_MAX_FPR)
    if len(curves["training"]):
        found["training"] = charts.training_curve(curves["training"])
    if result.regions.get("by_size"):
        found["regions"] = recall_by_size(result.regions)
    return found


def category_view(result: CategoryResult) -> dict[str, Any]:
    """What the template shows of a category, ready made."""
    threshold, training = result.metrics.get("threshold"), result.curves["training"]
    pictures, gate = result.pictures, gate_view(result)
    return {
        "name": result.category,
        "metrics": result.metrics,
        "scores": result.scores,
        "undefined": result.undefined,
        "reasons": reasons(result.undefined),
        "intervals": result.intervals,
        "flattered": result.about.get("threshold method") == METHOD_ON_TEST,
        "warning": warning(result.category, result.metrics),
        "extra": {name: value for name, value in result.metrics.items() if name not in SHOWN},
        "about": result.about,
        "images": result.images,
        "gate": gate,
        "verdict": gate.get("standing", ""),
        "changes": changes(gate) if gate.get("standing") == gate.get("verdict") else {},
        "types": type_rows(result.scores, result.defects, threshold=threshold),
        "regions": result.regions,
        "region_rows": region_rows(result.regions),
        "tradeoff": tradeoff_rows(result.tradeoff, result.metrics, result.intervals),
        "figures": {name: svg(chart) for name, chart in figures(result).items()},
        "last_loss": float(training["loss"].iloc[-1]) if len(training) else None,
        "legend": svg(charts.heat_legend(low=pictures["low"], threshold=pictures["threshold"]))
        if pictures["cases"]
        else "",
        "unit": UNITS.get(result.about.get("score", ""), ""),
        "groups": grouped_cases(pictures, result.scores),
    }


def reasons(undefined: Mapping[str, str]) -> dict[str, str]:
    """Why metrics of the overview are undefined: each reason with the metrics it concerns."""
    found: dict[str, list[str]] = {}
    for name, label in METRICS.items():
        if name in undefined:
            found.setdefault(undefined[name], []).append(label)
    return {reason: ", ".join(labels) for reason, labels in found.items()}


def gate_view(result: CategoryResult) -> dict[str, Any]:
    """The last decision, with `standing`: what it means for this report's version; empty where that is nothing."""
    if not result.gate:
        return {}
    verdict, version = result.gate["verdict"], result.about.get("version")
    words, standing = in_words(result.gate), ""
    if version in (None, result.gate["challenger"]):
        standing = verdict
    elif version == result.gate["champion"]:
        standing = CHAMPION if verdict in KEPT else "replaced"
    if version and (version != result.gate["challenger"] or verdict == ROLLED_BACK):
        words += f"; the figures here are version {version}'s"
    return result.gate | {"words": words, "standing": standing}


def changes(gate: Mapping[str, Any]) -> dict[str, float]:
    """Each metric that the gate compared: challenger's minus champion's."""
    found = {}
    for rule in gate.get("rules", []):
        both = [rule["figures"].get(name) for name in ("challenger", "champion")]
        if rule["name"] in COMPARED and all(isinstance(one, int | float) for one in both):
            found[rule["name"]] = float(both[0] - both[1])
    return found


def _means(results: Sequence[CategoryResult]) -> dict[str, dict[str, Any]]:
    """The mean of each metric over the categories that have it, and how many those are."""
    found = {name: [v for r in results if (v := r.metrics.get(name)) is not None] for name in METRICS}
    return {name: {"value": float(np.mean(v)) if v else None, "count": len(v)} for name, v in found.items()}
