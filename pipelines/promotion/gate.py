"""Whether a challenger may replace a champion: rules over what both do on the same images.

`image_auroc` and `aupro` may be lower by `epsilon`: passed where the lower limit of the paired bootstrap shows it,
failed where the loss is larger than that and its upper limit is below zero, else inconclusive; the same beside the best
earlier champions on these images, as each may have lost `epsilon` against the one before. What the champion found
and the challenger does not is weighed by an exact test on the images that the two judge differently.
"""

import math
from collections.abc import Collection, Sequence
from statistics import median

import pandas as pd

from fastflow.metrics.image import image_auroc
from fastflow.metrics.paired import Difference, aupro_difference, auroc_difference
from fastflow.metrics.rates import sign_test
from fastflow.roi import Roi, looked_at
from pipelines.core.gate_params import GateRules
from pipelines.core.percent import apart
from pipelines.promotion.floors import MAX_IMAGES, floor_rules, too_few
from pipelines.promotion.rules import Measured, Outcome, Rule, passes_if

BEST = "best_"  # in the names of rules beside an earlier champion


def rules_against(
    challenger: Measured, champion: Measured, rules: GateRules, *, speed_ratios: Sequence[float] = ()
) -> list[Rule]:
    """All rules, with both scored on the same images. `speed_ratios`: the challenger's time over the champion's,
    measured in turns; none where both have the same architecture. Without good or without defective images AUROC and
    AUPRO cannot be compared; the floors say what lacks.

    Raises:
        ValueError: the images differ.
    """
    if not challenger.scores["image_path"].equals(champion.scores["image_path"]):
        raise ValueError("challenger and champion were scored on different images")
    found: list[Rule] = []
    both, labels = (challenger.scores, champion.scores), set(champion.scores["gt_label"])
    if labels == {0, 1}:
        found += [_image_auroc(*both, rules), *_aupro(challenger, champion, rules)]
    if challenger.roi != champion.roi:
        found.append(_another_region(challenger.roi, champion.roi))
    if 1 in labels:
        found.append(_defects(*both, rules))
    if 0 in labels:
        found.append(_more_false_rejects(*both, rules))
    return [*found, _latency(speed_ratios, rules.latency_factor), *floor_rules(challenger.scores, rules, first=False)]


def rules_against_best(
    challenger: Measured, best: Measured, names: Collection[str], rules: GateRules, *, version: str
) -> list[Rule]:
    """The rules of these names beside an earlier champion, `version`, which was the best in them."""
    found = rules_against(challenger, best, rules)
    about = f"beside version {version}, an earlier champion that was better than the present one"
    return [
        rule._replace(name=f"{BEST}{rule.name}", sentence=f"{about}: {rule.sentence}")
        for rule in found
        if rule.name in names
    ]


def best_figures(measured: Measured) -> dict[str, float]:
    """What a champion is remembered for, by the rule that compares it: AUROC, AUPRO, number of defects that it finds.
    Those that are not defined are left out."""
    label, found = measured.scores["gt_label"].to_numpy(), measured.scores["pred_label"].to_numpy()
    figures = {
        "image_auroc": image_auroc(measured.scores["pred_score"].to_numpy(), label).value,
        "aupro": measured.aupro,
        "defects": float(found[label == 1].sum()) if 1 in label else None,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _image_auroc(challenger: pd.DataFrame, champion: pd.DataFrame, rules: GateRules) -> Rule:
    label = champion["gt_label"]
    found = auroc_difference(
        champion["pred_score"],
        challenger["pred_score"],
        label,
        confidence=rules.confidence,
        resamples=rules.resamples,
    )
    both = [image_auroc(one["pred_score"].to_numpy(), label.to_numpy()).value for one in (challenger, champion)]
    return _not_worse("image_auroc", found, both, challenger, rules)


def _aupro(challenger: Measured, champion: Measured, rules: GateRules) -> list[Rule]:
    if challenger.pixels is None or champion.pixels is None or challenger.roi != champion.roi:
        return []
    found = aupro_difference(
        champion.pixels,
        challenger.pixels,
        champion.scores["gt_label"],
        confidence=rules.confidence,
        resamples=rules.resamples,
    )
    return [_not_worse("aupro", found, [challenger.aupro, champion.aupro], challenger.scores, rules)]


def _another_region(challenger: Roi | None, champion: Roi | None) -> Rule:
    """What is not looked at is never rejected, and the AUPRO of two regions are of other pixels."""
    text = (
        f"the challenger looks at {looked_at(challenger)}, the champion at {looked_at(champion)}, so that what is "
        "inspected differs, and AUPRO cannot be compared: a person decides"
    )
    return Rule("region_of_interest", Outcome.INCONCLUSIVE, text)


def _not_worse(
    name: str, found: Difference, both: Sequence[float | None], scores: pd.DataFrame, rules: GateRules
) -> Rule:
    """`both`: the challenger's figure and the champion's."""
    epsilon, count = rules.epsilon, len(scores)
    figures = found._asdict() | {"epsilon": epsilon, "challenger": both[0], "champion": both[1]}
    value, lower, allowed = apart(found.value, found.lower, -epsilon, form="+.{}f", digits=4)
    text = f"differs by {value}, with {rules.confidence_text} confidence by {lower} to {found.upper:+.4f}"
    text += "; no resample of these images differs" * found.exact + f"; allowed: {allowed}"
    if found.value < -epsilon and found.upper < 0:
        return Rule(name, Outcome.FAILED, text, figures)
    if few := too_few(scores, rules):
        return Rule(name, Outcome.INCONCLUSIVE, f"{text}; {few}", figures)
    if found.lower >= -epsilon:
        return Rule(name, Outcome.PASSED, text, figures)
    needed = images_to_decide(found, count, epsilon)
    enough = f"about {needed} are needed" if needed else "the figures are too close to what is allowed for any number"
    shown = f"{count} test images can show a difference of {found.value - found.lower:.3f}; {enough}"
    return Rule(name, Outcome.INCONCLUSIVE, f"{text}; {shown}", figures | {"images_needed": needed})


def images_to_decide(found: Difference, count: int, epsilon: float) -> int | None:
    """How many test images would tell the same difference from `-epsilon`: limits narrow as one over the square root
    of their number, exact ones about as one over it. None: more than anybody has."""
    distance, width = abs(found.value + epsilon), found.value - found.lower
    if not distance:
        return None
    needed = count * (math.log1p(-width) / math.log1p(-distance) if found.exact else (width / distance) ** 2)
    return math.ceil(needed) if needed <= MAX_IMAGES else None


def _defects(challenger: pd.DataFrame, champion: pd.DataFrame, rules: GateRules) -> Rule:
    """Of each defect type, and of all: images that only the champion finds, and those that only the challenger does.

    One image of each of many types may be a clear loss in all. That is one question, so it is inconclusive by a test
    of its own; it fails by the stricter test that shares its error with those of the types.
    """
    defective, allowed = champion[champion["gt_label"] == 1], rules.lost_per_defect_type
    rows_of = {str(kind): rows.index for kind, rows in defective.groupby("defect_type")}
    changes = {kind: _changes(challenger, champion, rows, right=1) for kind, rows in rows_of.items()}
    net = {kind: lost - gained for kind, (lost, gained) in changes.items()}
    worse = {kind: changes[kind] for kind, lost in net.items() if lost > allowed}
    tests = len(changes) + (len(changes) > 1)
    lost, gained = together = _changes(challenger, champion, defective.index, right=1)
    if len(changes) > 1 and lost - gained > allowed and _shown(*together, rules):
        worse["of all types together"] = together
    lines = ", ".join(f"{kind} {lost - gained}" for kind, (lost, gained) in worse.items())
    text = f"defect types that lose more than {allowed} images: {lines or 'none'}"
    figures = {"lost": net, "allowed": allowed}
    if worse and not any(_shown(*changed, rules, tests=tests) for changed in worse.values()):
        return Rule("defects", Outcome.INCONCLUSIVE, f"{text}; which could be chance", figures)
    return Rule("defects", passes_if(not worse), text, figures)


def _more_false_rejects(challenger: pd.DataFrame, champion: pd.DataFrame, rules: GateRules) -> Rule:
    """Whether clearly more good images are rejected than by the champion: a person may want that, for fewer misses."""
    good = champion[champion["gt_label"] == 0].index
    more, less = _changes(challenger, champion, good, right=0)
    share = (more - less) / len(good)
    text = f"{more} good images are rejected by it alone, {less} by the champion alone, of {len(good)}"
    figures = {"more": more, "less": less, "good_images": len(good)}
    if share > rules.epsilon and _shown(more, less, rules):
        text += "; where that is the price of fewer misses, a person decides"
        return Rule("more_false_rejects", Outcome.INCONCLUSIVE, text, figures)
    return Rule("more_false_rejects", Outcome.PASSED, text, figures)


def _changes(challenger: pd.DataFrame, champion: pd.DataFrame, rows: pd.Index, *, right: int) -> tuple[int, int]:
    """How many of these images the champion alone judges rightly, and how many the challenger alone."""
    before, after = (one.loc[rows, "pred_label"] == right for one in (champion, challenger))
    return int((before & ~after).sum()), int((after & ~before).sum())


def _shown(worse: int, better: int, rules: GateRules, *, tests: int = 1) -> bool:
    """Whether chance is ruled out; `tests`: how many such questions share the error allowed (Bonferroni)."""
    return sign_test(worse, better) <= (1 - rules.confidence) / tests


def _latency(ratios: Sequence[float], factor: float) -> Rule:
    """Fails where each turn was slower than allowed: other work on the machine slows some turns, and both models."""
    if not ratios:
        return Rule("latency", Outcome.PASSED, "the same architecture and size as the champion's: not measured")
    text = (
        f"{median(ratios):.2f} times the champion's time, {min(ratios):.2f} to {max(ratios):.2f} in "
        f"{len(ratios)} turns; allowed: {factor}"
    )
    figures = {"ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios), "factor": factor}
    return Rule("latency", passes_if(min(ratios) <= factor), text, figures)
