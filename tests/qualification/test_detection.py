"""The statistics against known truths, and against another library's fit."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from pipelines.qualification.certificate import Step
from pipelines.qualification.curves import curve_of
from pipelines.qualification.detection import (
    HEIGHT,
    Trials,
    a90,
    a90_95,
    band,
    contradicted,
    critical_value,
    fit,
    signed_root,
)

STEPS, PER_STEP = 12, 8
SIZES = np.geomspace(3.2, 102.4, STEPS)
TRIALS = Trials(np.log(SIZES), np.full(STEPS, float(PER_STEP)))


def drawn_hits(log_a90: float, factor: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Found of each size where a90 is true, and the probability rises from 0.1 to 0.9 within a `factor` of size."""
    slope = 2 * HEIGHT / np.log(factor)
    return np.asarray(rng.binomial(PER_STEP, expit(HEIGHT + slope * (TRIALS.log_size - log_a90))), np.float64)


def coverage(draws: int, factor: float, seed: int) -> float:
    """How often the limit is not below the true a90; as `a90_95` decides, but at the truth alone, which is quicker."""
    rng, covered = np.random.default_rng(seed), 0
    for number in range(draws):
        true = rng.uniform(TRIALS.log_size[4], TRIALS.log_size[8])
        found = drawn_hits(true, factor, rng)[None]
        root = signed_root(TRIALS, found, fit(TRIALS, found), true)[0]
        covered += bool(root <= critical_value(TRIALS, found, true, seed=number) + 1e-9)
    return covered / draws


def test_the_fit_is_that_of_scikit_learn() -> None:
    found = np.array([0, 0, 1, 0, 2, 3, 5, 4, 7, 8, 8, 8], np.float64)
    curve = fit(TRIALS, found[None])
    size = np.repeat(TRIALS.log_size, PER_STEP)[:, None]
    hit = np.concatenate([np.arange(PER_STEP) < count for count in found])
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(size, hit)
    assert curve.slope[0] == pytest.approx(other.coef_[0, 0], rel=1e-4)
    assert curve.intercept[0] == pytest.approx(other.intercept_[0], rel=1e-4)


def test_many_fits_at_once_are_those_of_each() -> None:
    rng = np.random.default_rng(1)
    rows = np.stack([drawn_hits(3.0, 3.0, rng) for _ in range(20)])
    together = fit(TRIALS, rows)
    for row, likelihood in zip(rows, together.log_likelihood, strict=True):
        assert fit(TRIALS, row[None]).log_likelihood[0] == pytest.approx(likelihood, abs=1e-6)


def test_the_limit_covers_the_truth_as_often_as_it_says() -> None:
    assert 0.88 <= coverage(100, 3.0, seed=3) <= 1.0  # three standard deviations of 100 draws around 0.95


@pytest.mark.slow
@pytest.mark.parametrize("factor", [6.0, 3.0, 2.0])
def test_the_limit_covers_the_truth_in_93_to_97_of_100_of_1000_draws(factor: float) -> None:
    assert 0.93 <= coverage(1000, factor, seed=int(10 * factor)) <= 0.97


@pytest.mark.slow
def test_where_the_curve_is_steeper_than_the_steps_the_limit_errs_on_the_safe_side() -> None:
    assert coverage(500, 1.1, seed=5) >= 0.95


def test_the_limit_lies_where_its_own_test_turns() -> None:
    found = np.array([0, 0, 1, 0, 2, 3, 5, 4, 7, 8, 8, 8], np.float64)
    limit = a90_95(TRIALS, found, seed=0)
    assert limit.log_size is not None
    middle = a90(fit(TRIALS, found[None]))
    assert middle is not None
    assert middle < limit.log_size < TRIALS.log_size[-1]
    lower, upper = band(TRIALS, found, np.array([limit.log_size]), critical=limit.critical)
    assert lower[0] == pytest.approx(0.9, abs=0.01)
    assert upper[0] > lower[0]


def test_separated_sizes_are_no_proof_at_the_first_that_was_found() -> None:
    """Eight of eight say as much of a probability of 0.9 as nothing: 0.9 ** 8 = 0.43."""
    found = np.where(np.arange(STEPS) < 6, 0.0, float(PER_STEP))
    limit = a90_95(TRIALS, found, seed=0)
    assert limit.log_size is not None
    assert TRIALS.log_size[6] <= limit.log_size < TRIALS.log_size[8]


def test_enough_of_the_smallest_size_are_proof() -> None:
    """The known 29 of 29: 0.9 ** 29 = 0.047, below 0.05; here 0.9 ** 40 = 0.015, and 0.9 ** 20 = 0.12."""
    for count, proven in ((40, True), (20, False)):
        trials = Trials(TRIALS.log_size, np.full(STEPS, float(count)))
        limit = a90_95(trials, trials.tried, seed=0)
        assert limit.log_size is not None
        assert bool(limit.log_size == trials.log_size[0]) is proven


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_what_is_found_too_seldom_is_not_reached(share: float) -> None:
    found = np.full(STEPS, round(PER_STEP * share) * 1.0)
    assert a90_95(TRIALS, found, seed=0).log_size is None


def test_larger_ones_that_are_missed_again_contradict_a_size() -> None:
    found = np.array([0, 0, 2, 4, 8, 8, 8, 8, 5, 5, 4, 4], np.float64)
    assert contradicted(TRIALS, found, float(TRIALS.log_size[4]))
    assert not contradicted(TRIALS, np.minimum(found + 3, PER_STEP), float(TRIALS.log_size[4]))
    steps = [Step(size=s, drawn=PER_STEP, found=int(f), located=0) for s, f in zip(SIZES, found, strict=True)]
    assert curve_of("spot", 0.5, steps, seed=0).a90_95 is None
