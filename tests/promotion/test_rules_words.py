"""What single rules rest on and say: figures by hand, by SciPy's exact tests, and the sentences that a person reads."""

import math

import pytest
from scipy.stats import binomtest

from fastflow.metrics.paired import Difference
from pipelines.promotion.floors import MAX_IMAGES, floor_rules, images_needed, too_few
from pipelines.promotion.gate import best_figures, images_to_decide, rules_against, rules_against_best
from pipelines.promotion.rules import Measured, Rule
from tests.promotion.figures import FAILED, INCONCLUSIVE, PASSED, RULES, changed, measured

LAX = changed(image_auroc=0.0, resamples=100)


def by_name(rules: list[Rule]) -> dict[str, Rule]:
    return {rule.name: rule for rule in rules}


def rejecting(more: int, less: int = 0) -> tuple[Measured, Measured]:
    """A challenger that alone rejects so many of 40 good images, and a champion that alone rejects so many."""
    challenger, champion = measured(), measured()
    for one in (challenger, champion):
        one.scores["pred_label"] = one.scores["gt_label"]
    challenger.scores.loc[: more - 1, "pred_label"] = 1
    champion.scores.loc[40 - less : 39, "pred_label"] = 1
    return challenger, champion


@pytest.mark.parametrize(
    ("rate", "kind", "verb"), [("miss", "defective", "missed"), ("false_reject", "good", "rejected")]
)
def test_a_rate_rests_on_the_exact_limit_of_its_own_images(rate: str, kind: str, verb: str) -> None:
    table = measured().scores.assign(pred_label=lambda t: t["gt_label"])
    rows = table.index[table["gt_label"] == (kind == "defective")][:3]
    table.loc[rows, "pred_label"] = 1 - table.loc[rows, "pred_label"]
    name = {"miss": "misses"}.get(rate, f"{rate}s")
    rules = changed(LAX, **{f"{rate}_rate": 0.5})
    rule = by_name(floor_rules(table, rules, first=True))[name]
    upper = binomtest(3, 40).proportion_ci(confidence_level=0.9).high
    assert rule.figures == {
        "count": 3, f"{kind}_images": 40, "rate": 3 / 40, "upper": pytest.approx(upper), "allowed": 0.5,
    }  # fmt: skip
    assert rule.sentence == (
        f"3 of 40 {kind} images {verb}, 7.5%, with 95% confidence at most {100 * upper:.1f}%; allowed: 50.0%"
    )
    equal = by_name(floor_rules(table, changed(LAX, **{f"{rate}_rate": 3 / 40}), first=False))[name]
    assert equal.outcome == PASSED, "as many as are allowed are allowed"
    any_share = by_name(floor_rules(table, changed(LAX, **{f"{rate}_rate": 1.0}), first=True))[name]
    assert any_share == Rule(name, PASSED, "any share is allowed", {f"{kind}_images": 40})
    none = by_name(floor_rules(table.drop(rows), rules, first=True))[name]
    assert none.figures["count"] == 0
    without = by_name(floor_rules(table[table["gt_label"] != table.loc[rows[0], "gt_label"]], rules, first=False))[name]
    assert (without.outcome, without.figures) == (INCONCLUSIVE, {f"{kind}_images": 0})
    assert f"there is no {kind} test image: nothing shows how many are {verb}" in without.sentence
    assert without.sentence.endswith(f"set gate.{rate}_rate: 1")


def test_a_limit_that_needs_more_images_says_how_many() -> None:
    table = measured(good=20).scores.assign(pred_label=lambda t: t["gt_label"])
    rule = by_name(floor_rules(table, LAX, first=True))["false_rejects"]
    assert (rule.outcome, rule.figures["images_needed"]) == (INCONCLUSIVE, 29)
    table.loc[0:1, "pred_label"] = 1
    rule = by_name(floor_rules(table, LAX, first=True))["false_rejects"]
    assert (rule.outcome, rule.figures["images_needed"]) == (INCONCLUSIVE, None)
    assert rule.sentence.endswith("; it is too close to what is allowed")


def test_images_needed_are_enough_and_not_many_too_many() -> None:
    """A limit of 0 of n is at most `allowed` where (1 - allowed)^n is at most 5 %."""
    for allowed in (0.5, 0.05, 0.001):
        least = math.ceil(math.log(0.05) / math.log1p(-allowed))
        needed = images_needed(0, 1, allowed, confidence=0.95)
        assert needed is not None
        assert least <= needed <= max(least + 1, 1.011 * least)
    assert images_needed(0, least + 5, 0.001, confidence=0.95) == least + 5, "those that are there may do"
    assert images_needed(0, 1, 0.00001, confidence=0.95) is None
    assert math.log(0.05) / math.log1p(-0.00001) > MAX_IMAGES


def test_a_floor_of_zero_asks_nothing_and_an_equal_figure_reaches_it() -> None:
    scores = measured().scores
    assert floor_rules(scores, LAX, first=True)[0] == Rule("image_auroc_floor", PASSED, "any image_auroc is allowed")
    rule = floor_rules(scores, changed(image_auroc=0.9, resamples=100), first=True)[0]
    assert (rule.outcome, set(rule.figures)) == (PASSED, {"image_auroc", "lower", "floor"})
    assert rule.figures["floor"] == 0.9
    few = floor_rules(scores.iloc[[*range(9), *range(40, 80)]], changed(image_auroc=0.1, resamples=100), first=True)[0]
    assert few.outcome == INCONCLUSIVE
    assert few.sentence.endswith("; 9 good test images decide nothing; gate.least_images: 10")
    one_kind = floor_rules(scores.iloc[:40], changed(image_auroc=0.1), first=False)[0]
    assert one_kind == Rule(
        "image_auroc_floor", INCONCLUSIVE, "not defined without both good and defective test images"
    )


def test_too_few_are_fewer_than_are_asked_for() -> None:
    scores = measured(good=9).scores
    assert too_few(scores, RULES) == "9 good test images decide nothing; gate.least_images: 10"
    assert too_few(scores, changed(least_images=9)) == ""
    assert (
        too_few(scores.iloc[:11], RULES) == "9 good and 2 defective test images decide nothing; gate.least_images: 10"
    )


def test_more_false_rejects_count_what_one_alone_rejects() -> None:
    rule = by_name(rules_against(*rejecting(5, 1), LAX))["more_false_rejects"]
    assert rule.figures == {"more": 5, "less": 1, "good_images": 40}
    assert rule.sentence == "5 good images are rejected by it alone, 1 by the champion alone, of 40"
    assert rule.outcome == PASSED, "6 of 64 ways are as bad or worse: 7/64"
    rule = by_name(rules_against(*rejecting(7, 1), LAX))["more_false_rejects"]
    assert rule.outcome == INCONCLUSIVE, "9 of 256"
    assert rule.sentence.endswith("; where that is the price of fewer misses, a person decides")
    rule = by_name(rules_against(*rejecting(7, 1), changed(LAX, epsilon=6 / 40)))["more_false_rejects"]
    assert rule.outcome == PASSED, "no more than epsilon"


def test_latency_says_the_median_and_the_range() -> None:
    rule = by_name(rules_against(measured(), measured(), LAX, speed_ratios=[1.5, 1.1, 1.3]))["latency"]
    assert rule.sentence == "1.30 times the champion's time, 1.10 to 1.50 in 3 turns; allowed: 1.2"
    assert rule.figures == {"ratio": 1.3, "lowest": 1.1, "highest": 1.5, "factor": 1.2}
    equal = by_name(rules_against(measured(), measured(), LAX, speed_ratios=[1.2, 1.3]))["latency"]
    assert equal.outcome == PASSED


def test_how_many_images_decide_is_by_the_width_of_the_limits() -> None:
    """Limits narrow as one over the root of the number: half the distance needs four times the images."""
    assert images_to_decide(Difference(0.0, -0.5, 0.5), 100, 0.25) == 400
    assert images_to_decide(Difference(-0.125, -0.5, 0.25), 100, 0.25) == 900
    assert images_to_decide(Difference(-0.375, -0.75, -0.125), 100, 0.25) == 900
    assert images_to_decide(Difference(-0.25, -0.5, 0.25), 100, 0.25) is None
    assert images_to_decide(Difference(0.0, -0.5, 0.5), MAX_IMAGES // 4, 0.25) == MAX_IMAGES
    assert images_to_decide(Difference(0.0, -0.5, 0.5), MAX_IMAGES // 4 + 1, 0.25) is None
    exact = Difference(0.0, -0.2, 0.2, exact=True)
    assert images_to_decide(exact, 20, 0.02) == math.ceil(20 * math.log(0.8) / math.log(0.98))


def test_the_ranking_rule_compares_the_challenger_with_the_champion() -> None:
    low, high = measured(noise=1.2, seed=3), measured()
    rule = by_name(rules_against(low, high, changed(resamples=200)))["image_auroc"]
    assert rule.figures["champion"] > rule.figures["challenger"]
    assert rule.figures["value"] == pytest.approx(rule.figures["challenger"] - rule.figures["champion"])
    assert (rule.figures["epsilon"], rule.figures["exact"]) == (0.08, False)
    assert rule.figures["lower"] <= rule.figures["value"] <= rule.figures["upper"]
    assert f"to {rule.figures['upper']:+.4f}; allowed: -0.0800" in rule.sentence


def test_lost_defects_are_net_of_those_that_are_gained() -> None:
    challenger, champion = measured(), measured()
    for one in (challenger, champion):
        one.scores["pred_label"] = one.scores["gt_label"]
    challenger.scores.loc[40:42, "pred_label"] = 0  # three scratches that the champion finds
    champion.scores.loc[[59, 60], "pred_label"] = 0  # a scratch and a dent that it does not
    rule = by_name(rules_against(challenger, champion, LAX))["defects"]
    assert rule.figures == {"lost": {"scratch": 2, "dent": -1}, "allowed": 1}
    assert rule.sentence == "defect types that lose more than 1 images: scratch 2; which could be chance"
    passed = by_name(rules_against(challenger, champion, changed(LAX, lost_per_defect_type=2)))["defects"]
    assert (passed.outcome, passed.sentence) == (PASSED, "defect types that lose more than 2 images: none")


def test_only_the_named_rules_are_held_beside_an_earlier_champion() -> None:
    names = {"defects", "image_auroc"}
    found = rules_against_best(measured(noise=4), measured(), names, LAX, version="7")
    assert [rule.name for rule in found] == ["best_image_auroc", "best_defects"]
    assert {rule.outcome for rule in found} == {FAILED}
    assert all(rule.sentence.startswith("beside version 7, an earlier champion that was better") for rule in found)


def test_a_champion_is_remembered_for_what_is_defined() -> None:
    one = measured()._replace(aupro=0.75)
    one.scores["pred_label"] = one.scores["gt_label"]
    one.scores.loc[:9, "pred_label"] = 1
    assert best_figures(one) == {"image_auroc": pytest.approx(1.0, abs=0.01), "aupro": 0.75, "defects": 40.0}
    assert best_figures(one._replace(scores=one.scores.iloc[:40], aupro=None)) == {}
