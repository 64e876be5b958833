"""Floors on planted figures: what a first champion must show, a later one reach, and what few images can show."""

import math

import pandas as pd
import pytest
from scipy.stats import binomtest

from pipelines.promotion.floors import floor_rules, images_needed
from pipelines.promotion.gate import rules_against
from pipelines.promotion.rules import Outcome
from tests.promotion.figures import FAILED, INCONCLUSIVE, PASSED, RULES, against, changed, measured, outcomes


def test_a_blind_model_is_no_first_champion() -> None:
    """All 40 defects are missed, though their scores rank above the good ones'."""
    blind = measured(good=12)
    blind.scores["pred_label"] = 0
    (rule,) = [r for r in floor_rules(blind.scores, RULES, first=True) if r.outcome == FAILED]
    assert rule.name == "misses"
    assert rule.sentence.startswith("40 of 40 defective images missed, 100.0%")
    assert against(blind, measured(good=12))["misses"] == FAILED


@pytest.mark.parametrize(("wrong", "total", "allowed", "outcome"), [
    (0, 29, 0.1, PASSED), (0, 28, 0.1, INCONCLUSIVE), (1, 46, 0.1, PASSED), (1, 45, 0.1, INCONCLUSIVE),
    (3, 29, 0.1, FAILED), (2, 20, 0.1, INCONCLUSIVE), (20, 20, 1.0, PASSED), (0, 0, 0.5, INCONCLUSIVE),
])  # fmt: skip
def test_a_first_champion_must_show_its_false_rejects(wrong: int, total: int, allowed: float, outcome: Outcome) -> None:
    """The least numbers of images are those of tables of exact binomial limits, 95 % one-sided: 29 and 46 for 10 %."""
    table = measured(good=total).scores
    table.loc[table.index[:wrong], "pred_label"] = 1
    table.loc[table.index[wrong:total], "pred_label"] = 0
    found = {r.name: r for r in floor_rules(table, changed(false_reject_rate=allowed, image_auroc=0.0), first=True)}
    rule = found["false_rejects"]
    assert rule.outcome == outcome
    later = {r.name: r for r in floor_rules(table, changed(false_reject_rate=allowed), first=False)}["false_rejects"]
    assert later.outcome == (outcome if outcome == FAILED or not total else PASSED)
    if "upper" in rule.figures and allowed < 1:
        limits = binomtest(wrong, total).proportion_ci(confidence_level=0.9)
        assert rule.figures["upper"] == pytest.approx(limits.high)


def test_a_ranking_below_the_floor_fails_for_every_champion() -> None:
    """Ten of the 40 defective images score below every good one: an AUROC of .75, three quarters of all pairs."""
    low = measured().scores
    low.loc[low.index[-10:], "pred_score"] = -9.0
    low.loc[low.index[40:70], "pred_score"] = 9.0
    for first in (True, False):
        rules = changed(image_auroc=0.76, miss_rate=1.0)
        (rule,) = [r for r in floor_rules(low, rules, first=first) if r.name == "image_auroc_floor"]
        assert (rule.outcome, rule.figures["image_auroc"]) == (FAILED, 0.75)
        (rule,) = [r for r in floor_rules(low, changed(image_auroc=0.75), first=False) if r.name == rule.name]
        assert rule.outcome == PASSED


def test_a_later_champion_is_not_decided_on_a_handful_of_images() -> None:
    """One good image that is accepted says nothing of how many are rejected."""
    for total, outcome in ((1, INCONCLUSIVE), (9, INCONCLUSIVE), (10, PASSED)):
        found = {r.name: r for r in floor_rules(measured(good=total).scores.iloc[:total], RULES, first=False)}
        assert found["false_rejects"].outcome == outcome


def test_how_many_images_would_show_it() -> None:
    for allowed in (0.1, 0.02, 0.3):
        least = math.ceil(math.log(0.05) / math.log(1 - allowed))  # (1 - allowed)^n <= 5 %
        assert images_needed(0, 5, allowed, confidence=0.95) == pytest.approx(least, rel=0.02)
    assert images_needed(1, 10, 0.1, confidence=0.95) is None
    (rule,) = [r for r in floor_rules(measured(good=20).scores, RULES, first=True) if r.outcome == INCONCLUSIVE]
    assert rule.name == "false_rejects"
    assert rule.sentence.endswith("; about 29 good test images would show it")


def test_without_defects_nothing_shows_what_is_found() -> None:
    good = measured().scores.iloc[:40]
    assert outcomes(floor_rules(good, RULES, first=True)) == {
        "image_auroc_floor": INCONCLUSIVE, "misses": INCONCLUSIVE,
    }  # fmt: skip
    alone = measured()._replace(scores=good)
    assert against(alone, alone) == {"image_auroc_floor": INCONCLUSIVE, "misses": INCONCLUSIVE}
    lax = changed(image_auroc=0.0, miss_rate=1.0)  # a person who says that they do not count
    assert against(alone, alone, lax) == outcomes(floor_rules(good, lax, first=True)) == {}
    strict = alone._replace(scores=good.assign(pred_label=[1] * 5 + [0] * 35))
    assert against(strict, alone, changed(lax, false_reject_rate=0.2)) == {"more_false_rejects": INCONCLUSIVE}


def test_few_images_without_a_mistake_are_no_certainty() -> None:
    """Ten good and ten defective ones, told apart: an AUROC of .74 does as well in 5 of 100 such sets."""
    few = pd.concat([measured().scores.iloc[:10], measured().scores.iloc[-10:]], ignore_index=True)
    few["pred_score"] = few["gt_label"] * 1.0
    rule = floor_rules(few, changed(image_auroc=0.8), first=True)[0]
    assert rule.outcome == INCONCLUSIVE
    assert rule.sentence == "1.0000, with 95% confidence at least 0.7411; asked: 0.8000"
    rare = floor_rules(few, changed(confidence=0.999), first=True)[0]
    assert "with 99.9% confidence at least" in rare.sentence
    twice = measured()._replace(scores=few)
    (rule,) = [r for r in rules_against(twice, twice, changed(epsilon=0.02)) if r.name == "image_auroc"]
    assert rule.outcome == INCONCLUSIVE, "two models without a mistake: no bootstrap tells how well they do"
    assert rule.sentence == (
        "differs by +0.0000, with 95% confidence by -0.2589 to +0.2589; no resample of these images differs; allowed: "
        "-0.0200; 20 test images can show a difference of 0.259; about 297 are needed"
    )
    enough = math.ceil(math.log(0.05) / math.log(0.98))  # of each kind: .98 ** 149 < 5 %
    assert rule.figures["images_needed"] == pytest.approx(2 * enough, abs=2)
    for count, outcome in ((enough, PASSED), (enough - 1, INCONCLUSIVE)):
        many = measured()._replace(scores=few.iloc[[0] * count + [-1] * count].reset_index(drop=True))
        (rule,) = [r for r in rules_against(many, many, changed(epsilon=0.02)) if r.name == "image_auroc"]
        assert rule.outcome == outcome
