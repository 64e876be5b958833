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


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.0), (2.0, 5.0)])
def test_a_bounded_threshold_moves_with_its_bounds(low: float, high: float) -> None:
    """Log-odds of the place between the bounds do not know where these lie."""
    scores = special.expit(stats.logistic.rvs(size=60, random_state=3))
    unit = threshold_for(scores, false_reject_rate=0.001, bounds=(0, 1)).value
    moved = threshold_for(low + (high - low) * scores, false_reject_rate=0.001, bounds=(low, high)).value
    assert scores.max() < unit
    assert moved == pytest.approx(low + (high - low) * unit)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 0.0)])
def test_scores_that_all_lie_on_a_bound_have_it_for_a_threshold(bounds: tuple[float, float]) -> None:
    for end in bounds:
        assert threshold_for([end] * 15, false_reject_rate=0.001, bounds=bounds).value == pytest.approx(end, abs=1e-6)


def test_a_threshold_says_what_it_was_asked_and_of_how_many() -> None:
    by_rank = threshold_for(range(1, 100), false_reject_rate=0.01)
    assert by_rank[:4] == (99.0, 0.01, 99, "rank")  # 99 of 100 ranks
    assert by_rank.guarantee.startswith(
        "of the next normal images, at most 1 % are expected above it, if they are like the 99 "
    )
    by_tail = threshold_for(range(1, 99), false_reject_rate=0.01)
    assert by_tail[1:4] == (0.01, 98, "tail")
    assert by_tail.guarantee.startswith("none: 98 normal images can promise no rate below 1 %; for 1 % ")
    assert threshold_for([1, 2], false_reject_rate=0.9)[:4] == (1.0, 0.9, 2, "rank")


def test_a_tail_is_an_exponential_over_the_highest_fifth_but_at_least_ten_scores() -> None:
    """By hand: the level below those, plus their mean excess times the logarithm of their share over the rate."""
    for total, counted in ((6, 5), (30, 10), (80, 16)):
        scores = np.linspace(0, 1, total) ** 2
        level, excess = scores[-counted - 1], (scores[-counted:] - scores[-counted - 1]).mean()
        expected = level + excess * np.log(counted / total / 0.001)
        assert threshold_for(scores, false_reject_rate=0.001).value == pytest.approx(expected)
        single = threshold_for(scores.astype(np.float32), false_reject_rate=0.001).value
        assert single == threshold_for(scores.astype(np.float32).astype(float), false_reject_rate=0.001).value


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=50), st.floats(0.001, 0.5))
def test_threshold_is_never_below_the_rank_it_stands_for(scores: list[float], rate: float) -> None:
    found = threshold_for(scores, false_reject_rate=rate)
    assert sum(s > found.value for s in scores) <= rate * (len(scores) + 1)


def test_bad_questions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"false-reject rate is 1; allowed: between 0 and 1"):
        threshold_for([1, 2, 3], false_reject_rate=1)
    with pytest.raises(ValueError, match="at least 2 finite scores"):
        threshold_for([1.0, np.nan], false_reject_rate=0.1)
