"""Thresholds against simulation and the definition of a quantile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from fastflow.threshold import threshold_for


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_expected_false_rejects_of_new_images_stay_at_the_target(rate: float) -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        found = threshold_for(rng.gamma(3, size=209), false_reject_rate=rate)
        assert found.method == "rank"
        rates.append(stats.gamma(3).sf(found.value))  # the exact rate of this threshold
    error = np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) <= rate + 3 * error
    assert np.mean(rates) >= rate - 1 / 210 - 3 * error  # and no stricter than one rank


def test_too_few_images_extrapolate_and_say_so() -> None:
    rng = np.random.default_rng(1)
    found = [threshold_for(rng.exponential(size=60), false_reject_rate=0.01) for _ in range(300)]
    assert all(f.method == "tail" and f.guarantee.startswith("none: 60 normal images") for f in found)
    # an exponential's true 99 % quantile is log(100); the fitted one is near it in the mean
    assert np.mean([f.value for f in found]) == pytest.approx(np.log(100), rel=0.1)


def test_a_tail_that_ends_below_the_highest_score_is_not_said_to_be_extrapolated() -> None:
    scores = [*np.linspace(0, 1, 37), 9.0]
    found = threshold_for(scores, false_reject_rate=0.025)
    assert found.value == 9
    assert found.guarantee.endswith("for 2.5 % it is the highest of their scores")
    assert threshold_for(np.linspace(0, 1, 38), false_reject_rate=0.025).guarantee.endswith("extrapolated")


def test_a_bounded_score_has_a_threshold_inside_its_bounds() -> None:
    """Log-odds of a logistic sample are exponential in the tail, so its 99.9 % quantile is known."""
    true = stats.logistic.ppf(0.999)
    found = []
    for seed in range(300):
        scores = special.expit(stats.logistic.rvs(size=60, random_state=seed))
        threshold = threshold_for(scores, false_reject_rate=0.001, bounds=(0, 1))
        assert scores.max() <= threshold.value < 1
        found.append(special.logit(threshold.value))
    assert np.median(found) == pytest.approx(true, rel=0.1)
    saturated = threshold_for([0.5] * 10 + [1.0] * 5, false_reject_rate=0.001, bounds=(0, 1))
    assert saturated.value == 1.0


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=50), st.floats(0.001, 0.5))
def test_threshold_is_never_below_the_rank_it_stands_for(scores: list[float], rate: float) -> None:
    found = threshold_for(scores, false_reject_rate=rate)
    assert sum(s > found.value for s in scores) <= rate * (len(scores) + 1)


def test_bad_questions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"false-reject rate is 1; allowed: between 0 and 1"):
        threshold_for([1, 2, 3], false_reject_rate=1)
    with pytest.raises(ValueError, match="at least 2 finite scores"):
        threshold_for([1.0, np.nan], false_reject_rate=0.1)
