"""The gate's rules on planted figures, and its bootstrap against resampling written out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fastflow.metrics.paired import auroc_difference
from pipelines.core.params import Gate, read_params
from pipelines.promotion.gate import Measured, Rule, first_rules, rules_against
from tests.conftest import ROOT

LIMITS = read_params(ROOT / "params.yaml").gate


def measured(*, noise: float = 0.0, seed: int = 1, milliseconds: float = 10.0, aupro: float | None = 0.9) -> Measured:
    """40 good images around 0, 20 scratches and 20 dents around 4; `noise` blurs the scores; threshold 2."""
    base = np.random.default_rng(0).normal(0, 0.7, 80)
    label = np.repeat([0, 1], 40)
    scores = base + 4 * label + noise * np.random.default_rng(seed).normal(0, 1, 80)
    table = {
        "image_path": [f"{i}.png" for i in range(80)],
        "defect_type": ["good"] * 40 + ["scratch"] * 20 + ["dent"] * 20,
        "gt_label": label,
        "pred_score": scores,
        "pred_label": (scores > 2).astype(int),
    }
    return Measured(pd.DataFrame(table), aupro, milliseconds)


def failed(challenger: Measured, champion: Measured, limits: Gate = LIMITS) -> list[str]:
    return [rule.name for rule in rules_against(challenger, champion, limits, category="plates") if not rule.passed]


def test_an_equal_challenger_passes_every_rule() -> None:
    assert failed(measured(), measured()) == []


def test_a_noisy_challenger_fails_by_name_and_says_figures() -> None:
    assert {"image_auroc", "defects", "false_rejects"} <= set(failed(measured(noise=4), measured()))
    rules = {rule.name: rule for rule in rules_against(measured(noise=4), measured(), LIMITS, category="plates")}
    assert "allowed: -0.0200" in rules["image_auroc"].sentence
    assert rules["image_auroc"].figures["lower"] < -LIMITS.epsilon


def test_each_rule_alone() -> None:
    assert failed(measured(milliseconds=12.1), measured()) == ["latency"]
    assert failed(measured(milliseconds=11.9), measured()) == []
    assert failed(measured(aupro=0.87), measured()) == ["aupro"]
    assert failed(measured(), measured(), LIMITS.model_copy(update={"floors": {"plates": 1.1}})) == ["floor"]
    blind = measured()
    blind.scores.loc[60:61, "pred_label"] = 0  # two dents are no longer found; their scores rank as before
    assert failed(blind, measured()) == ["defects"]
    blind.scores.loc[60, "pred_label"] = 1
    assert failed(blind, measured()) == []
    strict = measured()
    strict.scores.loc[:4, "pred_label"] = 1
    assert failed(strict, measured()) == ["false_rejects"]


def test_without_a_champion_the_floor_alone_decides() -> None:
    (rule,) = first_rules(measured(), LIMITS, category="plates")
    assert isinstance(rule, Rule)
    assert rule.passed
    (rule,) = first_rules(measured(), LIMITS.model_copy(update={"floor": 1.01}), category="plates")
    assert (rule.name, rule.passed) == ("floor", False)
    blind = measured()
    blind.scores["pred_label"] = 0
    (rule,) = first_rules(blind, LIMITS, category="plates")
    assert rule.passed
    assert "40 of 40 defects are missed, 0 of 40 good parts rejected" in rule.sentence


def test_other_images_are_no_comparison() -> None:
    other = measured()
    other.scores.loc[0, "image_path"] = "new.png"
    with pytest.raises(ValueError, match="different images"):
        rules_against(other, measured(), LIMITS, category="plates")


def test_the_bootstrap_is_that_of_resampled_aurocs() -> None:
    first, second = measured().scores, measured(noise=2).scores
    label = first["gt_label"].to_numpy()
    a, b = first["pred_score"].to_numpy(), second["pred_score"].to_numpy()
    found = auroc_difference(a, b, label, confidence=0.95, resamples=4000)
    assert found.value == pytest.approx(roc_auc_score(label, b) - roc_auc_score(label, a))
    draw = np.random.default_rng(5)
    differences = []
    for _ in range(2000):
        rows = np.r_[draw.integers(0, 40, 40), draw.integers(40, 80, 40)]
        differences.append(roc_auc_score(label[rows], b[rows]) - roc_auc_score(label[rows], a[rows]))
    assert found.lower == pytest.approx(np.quantile(differences, 0.05), abs=0.01)
    with pytest.raises(ValueError, match="good and defective"):
        auroc_difference(a[:40], b[:40], label[:40], confidence=0.95, resamples=100)
