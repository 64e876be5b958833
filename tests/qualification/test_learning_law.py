"""The extrapolation against laws that are known: exact curves, and simulated verdicts of known rates."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from pipelines.qualification.learning_law import MATTERS, Outlook, fit_law, outlook

SIZES = [8, 16, 32, 64, 128, 200]


def verdicts(rates: NDArray[np.float64], *, pictures: int, seeds: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(S, K, T): each picture has a difficulty of its own, shared by all models, so that verdicts of one depend on each
    other; each rate is the share of all there could be (a Gaussian copula with correlation 0.5)."""
    shared = rng.standard_normal(pictures)
    own = rng.standard_normal((len(rates), seeds, pictures))
    return np.asarray(np.sqrt(0.5) * shared + np.sqrt(0.5) * own > norm.ppf(1 - rates)[:, None, None])


def truth(images: NDArray[np.float64], floor: float, scale: float, power: float) -> NDArray[np.float64]:
    return np.asarray(floor + scale * images**-power)


def seen(floor: float, scale: float, power: float, *, pictures: int, more: int = 200, seed: int = 0) -> Outlook:
    rates = truth(np.array(SIZES, float), floor, scale, power)
    drawn = verdicts(rates, pictures=pictures, seeds=3, rng=np.random.default_rng(seed))
    return outlook(SIZES, drawn, more=more, target=0.001, seed=seed)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_an_exact_curve_is_continued_exactly(power: float) -> None:
    law = fit_law(SIZES, truth(np.array(SIZES, float), 0.02, 0.5, power))
    assert law == pytest.approx((0.02, 0.5, power), rel=1e-6)
    assert law.rate(400.0) == pytest.approx(truth(np.array(400.0), 0.02, 0.5, power))


def test_no_law_rises_or_is_negative() -> None:
    law = fit_law(SIZES, np.array([0.0, 0.0, 0.01, 0.02, 0.05, 0.08]))
    assert law.scale == pytest.approx(0, abs=1e-9)
    assert law.rate(10.0) == law.rate(1000.0)
    steep = fit_law(SIZES, np.array([0.9, 0.4, 0.1, 0.0, 0.0, 0.0]))
    assert steep.rate(np.array(SIZES, float)).min() >= 0
    assert steep.rate(1.0) == 1.0


def test_the_answer_to_a_steep_a_flat_and_an_unclear_curve() -> None:
    steep = seen(0.0, 1.5, 0.5, pictures=2000)
    assert steep.outcome == "helps"
    assert steep.now.value == pytest.approx(1.5 * 200**-0.5, abs=0.02)
    assert steep.then.low < 1.5 * 400**-0.5 < steep.then.high
    flat = seen(0.05, 0.0, 1.0, pictures=2000)
    assert flat.outcome == "no_help"
    assert flat.drop.high <= MATTERS
    assert seen(0.02, 1.0, 0.5, pictures=12).outcome == "unknown"


def test_no_more_rejects_than_aimed_for_is_enough_and_still_has_limits() -> None:
    nothing = outlook(SIZES, np.zeros((6, 3, 20), np.bool_), more=200, target=0.01, seed=0)
    assert nothing.outcome == "enough"
    assert nothing.now.value == 0
    assert 0.02 < nothing.now.high < 0.2  # exact limits of 0 of 20: 0.17
    one = np.zeros((6, 3, 20), np.bool_)
    one[-1, :, 0] = True
    assert outlook(SIZES, one, more=200, target=0.05, seed=0).outcome == "enough"
    assert outlook(SIZES, one, more=200, target=0.049, seed=0).outcome != "enough"


def test_the_same_seed_gives_the_same_answer() -> None:
    assert seen(0.02, 1.0, 0.5, pictures=40)[:5] == seen(0.02, 1.0, 0.5, pictures=40)[:5]


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "scale", "power"), [(0.02, 1.0, 1.0), (0.0, 0.8, 0.5), (0.04, 0.0, 1.0)])
def test_limits_hold_the_truth_as_often_as_they_say(floor: float, scale: float, power: float) -> None:
    """Of 100 simulated curves; 95 % limits of the rate with twice as many photographs."""
    then = float(truth(np.array(400.0), floor, scale, power))
    found = [seen(floor, scale, power, pictures=100, seed=seed) for seed in range(100)]
    held = [one.then.low <= then <= one.then.high for one in found]
    assert np.mean(held) >= 0.90
    drop = float(truth(np.array(200.0), floor, scale, power)) - then
    wrong = [
        one.outcome == ("helps" if drop <= MATTERS else "no_help") for one in found
    ]  # the opposite of what is true
    assert np.mean(wrong) <= 0.05
