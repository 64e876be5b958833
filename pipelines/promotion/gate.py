"""Whether a challenger may become champion: rules over figures, nothing else. No file, no server, no model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from fastflow.metrics.image import image_auroc
from fastflow.metrics.paired import auroc_difference
from pipelines.core.params import Gate


class Measured(NamedTuple):
    """A model scored just now. `scores`: image_path, defect_type, gt_label, pred_score, pred_label, a row an image."""

    scores: pd.DataFrame
    aupro: float | None
    milliseconds_per_image: float


class Rule(NamedTuple):
    """One rule's verdict, in a sentence, with the figures it rests on."""

    name: str
    passed: bool
    sentence: str
    figures: Mapping[str, Any] = {}


def first_rules(challenger: Measured, limits: Gate, *, category: str) -> list[Rule]:
    """What a challenger must reach where there is no champion yet."""
    return [_floor(challenger.scores, limits.floors.get(category, limits.floor))]


def rules_against(challenger: Measured, champion: Measured, limits: Gate, *, category: str) -> list[Rule]:
    """All rules, with both scored on the same images.

    Raises:
        ValueError: the images differ.
    """
    if not challenger.scores["image_path"].equals(champion.scores["image_path"]):
        raise ValueError("challenger and champion were scored on different images")
    return [
        _image_auroc(challenger.scores, champion.scores, limits),
        _aupro(challenger.aupro, champion.aupro, limits.epsilon),
        _defects(challenger.scores, champion.scores, limits.lost_per_defect_type),
        false_rejects(challenger.scores, limits.false_reject_rate),
        _latency(challenger.milliseconds_per_image, champion.milliseconds_per_image, limits.latency_factor),
        *first_rules(challenger, limits, category=category),
    ]


def _image_auroc(challenger: pd.DataFrame, champion: pd.DataFrame, limits: Gate) -> Rule:
    label = champion["gt_label"]
    if label.nunique() < 2:
        return Rule("image_auroc", True, "not defined without both good and defective test images")
    found = auroc_difference(
        champion["pred_score"],
        challenger["pred_score"],
        label,
        confidence=limits.confidence,
        resamples=limits.resamples,
    )
    figures = {"difference": found.value, "lower": found.lower, "epsilon": limits.epsilon}
    return Rule(
        "image_auroc",
        found.lower >= -limits.epsilon,
        f"differs by {found.value:+.4f}, with {limits.confidence:.0%} confidence by at least {found.lower:+.4f}; "
        f"allowed: {-limits.epsilon:+.4f}",
        figures | {"challenger": _auroc(challenger), "champion": _auroc(champion)},
    )


def _aupro(challenger: float | None, champion: float | None, epsilon: float) -> Rule:
    figures = {"challenger": challenger, "champion": champion, "epsilon": epsilon}
    if challenger is None or champion is None:
        return Rule("aupro", True, "not defined without masks of defects", figures)
    text = f"{challenger:.4f}, the champion's is {champion:.4f}; allowed: {epsilon} less"
    return Rule("aupro", challenger >= champion - epsilon, text, figures)


def _defects(challenger: pd.DataFrame, champion: pd.DataFrame, allowed: int) -> Rule:
    """By defect type: images that the champion finds, minus those that the challenger finds."""
    found = {
        kind: int(champion["pred_label"][rows.index].sum() - challenger["pred_label"][rows.index].sum())
        for kind, rows in champion[champion["gt_label"] == 1].groupby("defect_type")
    }
    worst = {str(kind): lost for kind, lost in found.items() if lost > allowed}
    text = f"defect types that lose more than {allowed} images: {worst or 'none'}"
    return Rule("defects", not worst, text, {"lost": {str(k): v for k, v in found.items()}, "allowed": allowed})


def false_rejects(challenger: pd.DataFrame, allowed: float) -> Rule:
    """Whether at most this share of the good test images is rejected."""
    good = challenger.loc[challenger["gt_label"] == 0, "pred_label"]
    if good.empty:
        return Rule("false_rejects", True, "not defined without good test images")
    rate = float(good.mean())
    text = f"{int(good.sum())} of {len(good)} good images are rejected, {rate:.1%}; allowed: {allowed:.1%}"
    return Rule("false_rejects", rate <= allowed, text, {"rate": rate, "good_images": len(good), "allowed": allowed})


def _latency(challenger: float, champion: float, factor: float) -> Rule:
    text = f"{challenger:.1f} ms an image, the champion needs {champion:.1f}; allowed: {factor} times that"
    figures = {"challenger": challenger, "champion": champion, "factor": factor}
    return Rule("latency", challenger <= factor * champion, text, figures)


def _floor(challenger: pd.DataFrame, floor: float) -> Rule:
    value = _auroc(challenger)
    if value is None:
        return Rule("floor", True, "image_auroc is not defined without both good and defective test images")
    good, defective = (challenger.loc[challenger["gt_label"] == label, "pred_label"] for label in (0, 1))
    missed, rejected = int((defective == 0).sum()), int(good.sum())
    text = (
        f"image_auroc is {value:.4f}, at least {floor} is asked; {missed} of {len(defective)} defects are missed, "
        f"{rejected} of {len(good)} good parts rejected"
    )
    figures = {"image_auroc": value, "floor": floor, "misses": missed, "false_rejects": rejected}
    return Rule("floor", value >= floor, text, figures)


def _auroc(scores: pd.DataFrame) -> float | None:
    return image_auroc(scores["pred_score"].to_numpy(), scores["gt_label"].to_numpy()).value
