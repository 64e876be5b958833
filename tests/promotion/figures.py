"""Models as the gate measures them, with planted figures, and what its rules say of them."""

import numpy as np
import pandas as pd

from pipelines.core.gate_params import GateRules
from pipelines.core.params import read_params
from pipelines.promotion.gate import rules_against
from pipelines.promotion.rules import Measured, Outcome, Rule
from tests.conftest import ROOT

RULES = read_params(ROOT / "params.yaml").gate.of("plates").model_copy(update={"epsilon": 0.08})
"""As shipped, but that 40 images of a kind without any difference show enough: an exact limit of .072."""
PASSED, FAILED, INCONCLUSIVE = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def measured(*, noise: float = 0.0, seed: int = 1, good: int = 40) -> Measured:
    """`good` images around 0, 20 scratches and 20 dents around 4; `noise` blurs the scores; threshold 2."""
    count = good + 40
    base = np.random.default_rng(0).normal(0, 0.7, count)
    label = np.repeat([0, 1], [good, 40])
    scores = base + 4 * label + noise * np.random.default_rng(seed).normal(0, 1, count)
    table = {
        "image_path": [f"{i}.png" for i in range(count)],
        "defect_type": ["good"] * good + ["scratch"] * 20 + ["dent"] * 20,
        "gt_label": label,
        "pred_score": scores,
        "pred_label": (scores > 2).astype(int),
    }
    return Measured(pd.DataFrame(table), None, None, "resnet18", 10.0)


def changed(rules: GateRules = RULES, **values: object) -> GateRules:
    return GateRules.model_validate(rules.model_dump() | values)


def outcomes(rules: list[Rule]) -> dict[str, Outcome]:
    """Of the rules that did not pass."""
    return {rule.name: rule.outcome for rule in rules if rule.outcome != PASSED}


def against(challenger: Measured, champion: Measured, rules: GateRules = RULES) -> dict[str, Outcome]:
    return outcomes(rules_against(challenger, champion, rules))
