"""The gate's comparisons on planted figures, and what rests on too few images."""

import math

import numpy as np
import pandas as pd
import pytest

from fastflow.metrics.bootstrap import pixel_histograms
from fastflow.metrics.regions import split_images
from fastflow.roi import roi_of
from pipelines.core.params import read_params
from pipelines.promotion.gate import rules_against, rules_against_best
from pipelines.promotion.rules import Measured, Rule
from tests.conftest import ROOT
from tests.promotion.figures import FAILED, INCONCLUSIVE, PASSED, RULES, against, changed, measured, outcomes


def test_an_equal_challenger_passes_every_rule() -> None:
    rules = rules_against(measured(), measured(), RULES)
    assert outcomes(rules) == {}
    assert {rule.name for rule in rules} == {
        "image_auroc", "defects", "more_false_rejects", "latency", "image_auroc_floor", "misses", "false_rejects",
    }  # fmt: skip


def test_a_noisy_challenger_fails_by_name_and_says_figures() -> None:
    found = against(measured(noise=4), measured())
    assert {found["image_auroc"], found["defects"], found["false_rejects"]} == {FAILED}
    (rule,) = [r for r in rules_against(measured(noise=4), measured(), RULES) if r.name == "image_auroc"]
    assert "allowed: -0.0800" in rule.sentence
    assert rule.figures["value"] < -RULES.epsilon
    assert rule.figures["upper"] < 0


def test_without_good_images_lost_defects_count_all_the_same() -> None:
    defective = measured().scores.iloc[40:]
    lax = changed(image_auroc=0.0, false_reject_rate=1.0)
    alone = measured()._replace(scores=defective)
    blind = alone._replace(scores=defective.assign(pred_label=[0] * 8 + [1] * 32))
    assert against(alone, alone, lax) == {}
    assert against(blind, alone, lax) == {"defects": FAILED}


def test_lost_defects_fail_where_chance_is_ruled_out() -> None:
    def blind_to(count: int) -> Measured:
        one = measured()
        one.scores.loc[60 : 59 + count, "pred_label"] = 0  # so many dents; their scores rank as before
        return one

    assert against(blind_to(1), measured()) == {}
    assert against(blind_to(2), measured()) == {"defects": INCONCLUSIVE}  # p = 1/4
    assert against(blind_to(5), measured()) == {"defects": INCONCLUSIVE}  # p = 1/32, of three questions
    assert against(blind_to(6), measured()) == {"defects": FAILED}  # p = 1/64
    both = measured()
    both.scores.loc[[*range(40, 44), *range(60, 64)], "pred_label"] = 0  # four of each type
    (rule,) = [r for r in rules_against(both, measured(), RULES) if r.outcome == FAILED]
    assert rule.figures["lost"] == {"dent": 4, "scratch": 4}
    assert "of all types together 8" in rule.sentence


def test_one_image_of_each_of_many_types_is_no_trifle() -> None:
    """Each type may lose one; that all lose one is one question, beside those of the types."""

    def of_types(count: int, *, lost: int) -> Measured:
        one = measured()
        one.scores.loc[40:, "defect_type"] = [f"kind{i % count}" for i in range(40)]
        one.scores.loc[40 : 39 + lost, "pred_label"] = 0
        return one

    assert against(of_types(8, lost=4), of_types(8, lost=0)) == {}  # p = 1/16
    for lost in (5, 7):  # p = 1/32, 1/128: clear as one question, not as one of nine
        assert against(of_types(8, lost=lost), of_types(8, lost=0)) == {"defects": INCONCLUSIVE}
    assert against(of_types(8, lost=8), of_types(8, lost=0)) == {"defects": FAILED}  # p = 1/256
    (rule,) = [r for r in rules_against(of_types(8, lost=7), of_types(8, lost=0), RULES) if r.outcome != PASSED]
    assert rule.sentence == "defect types that lose more than 1 images: of all types together 7; which could be chance"


def test_a_defect_type_may_have_any_name() -> None:
    one, other = measured(), measured()
    for scored, rows in ((one, slice(40, 46)), (other, slice(60, 66))):
        scored.scores.loc[40:59, "defect_type"] = "all"
        scored.scores.loc[rows, "pred_label"] = 0
    assert against(one, other) == {"defects": FAILED}  # seven of `all` are lost, whatever is gained elsewhere


def test_clearly_more_false_rejects_are_a_persons_decision() -> None:
    strict = measured()
    strict.scores.loc[:3, "pred_label"] = 1
    assert against(strict, measured()) == {}  # 4 of 40 more: p = 1/16
    lax = changed(false_reject_rate=1.0)
    strict.scores.loc[:4, "pred_label"] = 1
    assert against(strict, measured(), lax) == {"more_false_rejects": INCONCLUSIVE}  # p = 1/32
    assert against(strict, measured()) == {"more_false_rejects": INCONCLUSIVE, "false_rejects": FAILED}
    assert against(measured(), strict, lax) == {}


def test_what_is_better_in_each_figure_and_not_shown_is_not_refused() -> None:
    """Six good and six defective images: the challenger is right on one pair more."""
    table = pd.concat([measured().scores.iloc[:6], measured().scores.iloc[40:46]], ignore_index=True)
    champion = measured()._replace(scores=table.assign(pred_score=table["gt_label"] * 4.0 + np.tile([0, 1, 2], 4)))
    champion.scores.loc[6, "pred_score"] = 0.5
    better = champion._replace(scores=champion.scores.assign(pred_score=table["gt_label"] * 9.0))
    assert against(better, champion) == dict.fromkeys(("image_auroc", "misses", "false_rejects"), INCONCLUSIVE)
    (rule,) = [r for r in rules_against(better, champion, RULES) if r.name == "image_auroc"]
    assert "6 good and 6 defective test images decide nothing; gate.least_images: 10" in rule.sentence


def test_inconclusive_says_how_many_images_are_needed() -> None:
    challenger, champion = measured(noise=1.2, seed=3), measured(noise=1.2, seed=4)
    (rule,) = [r for r in rules_against(challenger, champion, changed(epsilon=0.02)) if r.name == "image_auroc"]
    assert rule.outcome == INCONCLUSIVE
    shown, needed = rule.figures["value"] - rule.figures["lower"], rule.figures["images_needed"]
    assert f"80 test images can show a difference of {shown:.3f}; about {needed} are needed" in rule.sentence
    assert needed == math.ceil(80 * (shown / abs(rule.figures["value"] + 0.02)) ** 2)


def test_a_loss_that_could_be_chance_is_not_refused() -> None:
    """One defective image of 20 falls below all good ones: .05 less, and nothing in a third of all resamples."""
    champion = measured()
    champion.scores["pred_score"] = champion.scores["gt_label"] * 9.0
    challenger = measured()._replace(scores=champion.scores.copy())
    challenger.scores.loc[challenger.scores.index[[40, 60]], "pred_score"] = -9.0
    (rule,) = [r for r in rules_against(challenger, champion, RULES) if r.name == "image_auroc"]
    assert rule.figures["value"] == pytest.approx(-0.05)
    assert rule.figures["upper"] == 0.0
    assert rule.outcome == INCONCLUSIVE


def test_more_false_rejects_within_epsilon_are_let_pass() -> None:
    """Six of 400 good images, 1.5 %: clearly more (p = 1/64), and less than epsilon."""
    strict = measured(good=400)
    strict.scores.loc[:5, "pred_label"] = 1
    champion = measured(good=400)
    champion.scores.loc[:399, "pred_label"] = 0
    strict.scores.loc[6:399, "pred_label"] = 0
    assert against(strict, champion) == {}
    assert against(strict, champion, changed(epsilon=0.01))["more_false_rejects"] == INCONCLUSIVE


def test_speed_is_judged_by_the_quickest_turn() -> None:
    def latency(*ratios: float) -> Rule:
        (rule,) = [r for r in rules_against(measured(), measured(), RULES, speed_ratios=ratios) if r.name == "latency"]
        return rule

    assert latency().outcome == PASSED
    assert "not measured" in latency().sentence
    assert latency(1.19, 3.0, 9.0).outcome == PASSED  # a busy machine
    assert latency(1.21, 3.0, 9.0).outcome == FAILED
    assert latency(math.nan, math.nan).outcome == FAILED


def test_aupro_is_compared_where_masks_are() -> None:
    rng = np.random.default_rng(0)
    masks = [np.zeros((16, 16), bool) for _ in range(80)]
    for mask in masks[40:]:
        mask[4:9, 4:9] = True

    def with_maps(blur: float) -> Measured:
        maps = [mask * 3.0 + rng.normal(0, 1 + blur, mask.shape) for mask in masks]
        return measured()._replace(aupro=0.9, pixels=pixel_histograms(split_images(maps, masks)))

    sharp = with_maps(0)
    assert against(sharp, sharp) == {}
    assert against(with_maps(3), sharp) == {"aupro": FAILED}
    assert against(sharp, with_maps(3)) == {}


def test_other_images_are_no_comparison() -> None:
    other = measured()
    other.scores.loc[0, "image_path"] = "new.png"
    with pytest.raises(ValueError, match="different images"):
        rules_against(other, measured(), RULES)


def test_a_category_has_rules_of_its_own() -> None:
    gate = read_params(ROOT / "params.yaml").gate
    own = type(gate).model_validate(gate.model_dump() | {"categories": {"weave": {"miss_rate": 0.05}}})
    assert (own.of("weave").miss_rate, own.of("gear").miss_rate) == (0.05, gate.miss_rate)
    for wrong in ({"miss_rate": 2.0}, {"mis_rate": 0.1}, {"first": "no"}, {"miss_rate": math.nan}):
        with pytest.raises(ValueError, match=f"weave: {next(iter(wrong))}: "):
            type(gate).model_validate(gate.model_dump() | {"categories": {"weave": wrong}})


def test_another_region_of_interest_is_for_a_person_and_no_aupro_is_compared() -> None:
    mask = np.zeros((10, 10), bool)
    mask[:4] = True
    here, same, there = (measured()._replace(roi=roi) for roi in (roi_of(mask), roi_of(mask.copy()), roi_of(~mask)))
    assert against(here, same) == {}
    for challenger, champion, sides in (
        (here, measured(), "looks at 40.0% of the picture, the champion at all of the picture"),
        (measured(), here, "looks at all of the picture, the champion at 40.0% of the picture"),
        (here, there, "looks at 40.0% of the picture, the champion at 60.0% of the picture"),
    ):
        (rule,) = [one for one in rules_against(challenger, champion, RULES) if one.outcome != PASSED]
        assert rule.name == "region_of_interest"
        assert rule.outcome == INCONCLUSIVE
        assert sides in rule.sentence
        assert rules_against_best(challenger, champion, ["aupro"], RULES, version="1") == []
