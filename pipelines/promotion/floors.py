"""What a model must reach whatever the champion does: image_auroc, misses and false rejects, at its own threshold.

For the first champion of a category a floor must be shown: its limit, and not the figure alone, holds. For a later one
the figure is enough, as the comparison with the champion stands beside it.
"""

import pandas as pd

from fastflow.metrics.image import image_auroc
from fastflow.metrics.paired import auroc_lower_limit
from fastflow.metrics.rates import mistakes, upper_limit
from pipelines.core.gate_params import GateRules
from pipelines.core.percent import apart
from pipelines.promotion.rules import Outcome, Rule

MAX_IMAGES = 100_000  # asked for; beyond, a figure is too close to its floor
_GROWTH = 1.01  # from one number of images tried to the next
_KINDS = {"false_reject": ("good", "rejected"), "miss": ("defective", "missed")}


def floor_rules(scores: pd.DataFrame, rules: GateRules, *, first: bool) -> list[Rule]:
    """`scores` as of `Measured`; `first`: there is no champion."""
    counts = mistakes(scores["gt_label"], scores["pred_label"])
    return [
        _image_auroc(scores, rules, first=first),
        _rate("miss", counts["miss"], rules.miss_rate, rules, first=first),
        _rate("false_reject", counts["false_reject"], rules.false_reject_rate, rules, first=first),
    ]


def _image_auroc(scores: pd.DataFrame, rules: GateRules, *, first: bool) -> Rule:
    name, floor = "image_auroc_floor", rules.image_auroc
    if floor == 0:
        return Rule(name, Outcome.PASSED, "any image_auroc is allowed")
    label = scores["gt_label"]
    value = image_auroc(scores["pred_score"].to_numpy(), label.to_numpy()).value
    if value is None:
        return Rule(name, Outcome.INCONCLUSIVE, "not defined without both good and defective test images")
    lower = auroc_lower_limit(scores["pred_score"], label, confidence=rules.confidence, resamples=rules.resamples)
    figures = {"image_auroc": value, "lower": lower, "floor": floor}
    shown, least, asked = apart(value, lower, floor, form=".{}f", digits=4)
    text = f"{shown}, with {rules.confidence_text} confidence at least {least}; asked: {asked}"
    if not value >= floor:
        return Rule(name, Outcome.FAILED, text, figures)
    if not first:
        return Rule(name, Outcome.PASSED, text, figures)
    if few := too_few(scores, rules):
        return Rule(name, Outcome.INCONCLUSIVE, f"{text}; {few}", figures)
    return Rule(name, Outcome.PASSED if lower >= floor else Outcome.INCONCLUSIVE, text, figures)


def _rate(rate: str, counted: tuple[int, int], allowed: float, rules: GateRules, *, first: bool) -> Rule:
    """The limit is Clopper and Pearson's."""
    (wrong, total), (kind, verb), name = counted, _KINDS[rate], {"miss": "misses"}.get(rate, f"{rate}s")
    if allowed == 1:
        return Rule(name, Outcome.PASSED, "any share is allowed", {f"{kind}_images": total})
    if not total:
        text = f"there is no {kind} test image: nothing shows how many are {verb}; add some, or set gate.{rate}_rate: 1"
        return Rule(name, Outcome.INCONCLUSIVE, text, {f"{kind}_images": 0})
    upper = upper_limit(wrong, total, confidence=rules.confidence)
    figures = {"count": wrong, f"{kind}_images": total, "rate": wrong / total, "upper": upper, "allowed": allowed}
    share, most, limit = apart(wrong / total, upper, allowed, form=".{}%", digits=1)
    text = (
        f"{wrong} of {total} {kind} images {verb}, {share}, with {rules.confidence_text} confidence at most {most}; "
        f"allowed: {limit}"
    )
    if not wrong / total <= allowed:
        return Rule(name, Outcome.FAILED, text, figures)
    if not first and total < rules.least_images:
        few = f"{total} {kind} test images decide nothing; gate.least_images: {rules.least_images}"
        return Rule(name, Outcome.INCONCLUSIVE, f"{text}; {few}", figures)
    if upper <= allowed or not first:
        return Rule(name, Outcome.PASSED, text, figures)
    needed = images_needed(wrong, total, allowed, confidence=rules.confidence)
    more = f"about {needed} {kind} test images would show it" if needed else "it is too close to what is allowed"
    return Rule(name, Outcome.INCONCLUSIVE, f"{text}; {more}", {**figures, "images_needed": needed})


def images_needed(wrong: int, total: int, allowed: float, *, confidence: float) -> int | None:
    """How many images, at the same rate, would have a limit within what is allowed; None: more than anybody has."""
    count = total
    while count <= MAX_IMAGES:
        if upper_limit(round(wrong / total * count), count, confidence=confidence) <= allowed:
            return count
        count = max(count + 1, int(count * _GROWTH))
    return None


def too_few(scores: pd.DataFrame, rules: GateRules) -> str:
    """What is said of a comparison that rests on fewer images than the rules ask for; empty where it does not."""
    counts = {kind: int((scores["gt_label"] == label).sum()) for label, kind in enumerate(("good", "defective"))}
    few = [f"{count} {kind}" for kind, count in counts.items() if count < rules.least_images]
    return f"{' and '.join(few)} test images decide nothing; gate.least_images: {rules.least_images}" if few else ""
