"""What the gate's rules say: each passes, fails, or has too little to decide on. No file, no server, no model."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import pandas as pd

from fastflow.metrics.bootstrap import Histograms
from fastflow.roi import Roi


class Measured(NamedTuple):
    """A model scored just now. `scores`: image_path, defect_type, gt_label, pred_score, pred_label, a row an image;
    `pixels` by image, None without masks of all defects. `architecture`: what decides its speed. `roi`: where it looks;
    None: everywhere."""

    scores: pd.DataFrame
    aupro: float | None
    pixels: Histograms | None
    architecture: str
    milliseconds_per_image: float
    roi: Roi | None = None


class Outcome(StrEnum):
    """Of one rule."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Rule(NamedTuple):
    """One rule's outcome, in a sentence, with the figures it rests on."""

    name: str
    outcome: Outcome
    sentence: str
    figures: Mapping[str, Any] = {}


def passes_if(held: bool) -> Outcome:
    """For a rule that is never inconclusive."""
    return Outcome.PASSED if held else Outcome.FAILED


def of_outcome(rules: Sequence[Rule], outcome: Outcome) -> list[Rule]:
    return [rule for rule in rules if rule.outcome == outcome]


def sentences(rules: Sequence[Rule]) -> str:
    return "; ".join(f"{rule.name}: {rule.sentence}" for rule in rules)
