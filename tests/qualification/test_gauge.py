"""Variances, %GRR and its limits: against AIAG's published example, exact limits, and simulations of a known truth."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pipelines.qualification import gauge

# AIAG, Measurement Systems Analysis, 4th edition, chapter III: 10 parts, 3 appraisers, 3 trials; lines are trials
AIAG = """
0.29 -0.56 1.34 0.47 -0.80 0.02 0.59 -0.31 2.26 -1.36
0.41 -0.68 1.17 0.50 -0.92 -0.11 0.75 -0.20 1.99 -1.25
0.64 -0.58 1.27 0.64 -0.84 -0.21 0.66 -0.17 2.01 -1.31
0.08 -0.47 1.19 0.01 -0.56 -0.20 0.47 -0.63 1.80 -1.68
0.25 -1.22 0.94 1.03 -1.20 0.22 0.55 0.08 2.12 -1.62
0.07 -0.68 1.34 0.20 -1.28 0.06 0.83 -0.34 2.19 -1.50
0.04 -1.38 0.88 0.14 -1.46 -0.29 0.02 -0.46 1.77 -1.49
-0.11 -1.13 1.09 0.20 -1.07 -0.67 0.01 -0.56 1.45 -1.77
-0.15 -0.96 0.67 0.11 -1.45 -0.49 0.21 -0.49 1.87 -2.16
"""


def aiag() -> NDArray[np.float64]:
    """(parts, operators, shots)"""
    return np.array(AIAG.split(), np.float64).reshape(3, 3, 10).transpose(2, 0, 1)


def test_aiags_example() -> None:
    """The published table: the interaction is pooled, as its p-value is .974; %GRR 27.86, 4 distinct categories."""
    study = gauge.crossed(aiag())
    assert study.p_value == pytest.approx(0.974, abs=5e-4)
    assert study.interaction is None
    assert study.operator
    assert study.part.value == pytest.approx(9.81799, abs=5e-6)
    assert study.operator.value == pytest.approx(1.58363, abs=5e-6)
    assert (study.part.degrees, study.operator.degrees, study.error.degrees) == (9, 2, 78)
    assert study.error.value == pytest.approx(0.03997, abs=5e-6)
    found = gauge.variances(study)
    assert found.repeatability == pytest.approx(0.03997, abs=5e-6)
    assert found.operator + found.interaction == pytest.approx(0.05146, abs=5e-6)
    assert found.gauge == pytest.approx(0.09143, abs=5e-6)
    assert found.part == pytest.approx(1.08645, abs=5e-6)
    assert gauge.share(found) == pytest.approx(0.2786, abs=5e-5)
    assert gauge.distinct_categories(found) == 4
    low, high = gauge.share_limits(study, seed=0)
    assert low < 0.2786 < high
    assert gauge.share_limits(study, seed=0) == (low, high)


def drawn(rng: np.random.Generator, *, part: float, operator: float, both: float, shot: float) -> NDArray[np.float64]:
    """Scores (8, 3, 2) of a model with these standard deviations."""
    return np.asarray(
        part * rng.normal(size=(8, 1, 1))
        + operator * rng.normal(size=(1, 3, 1))
        + both * rng.normal(size=(8, 3, 1))
        + shot * rng.normal(size=(8, 3, 2))
    )


def test_an_interaction_that_is_there_counts_as_the_gauges() -> None:
    rng = np.random.default_rng(1)
    made = [gauge.variances(gauge.crossed(drawn(rng, part=3, operator=1, both=2, shot=0.5))) for _ in range(1500)]
    assert np.mean([one.interaction for one in made]) == pytest.approx(4, rel=0.05)
    assert np.mean([one.operator for one in made]) == pytest.approx(1, rel=0.35)  # two degrees of freedom, cut at 0
    assert np.mean([one.repeatability for one in made]) == pytest.approx(0.25, rel=0.05)
    assert np.mean([one.part for one in made]) == pytest.approx(9, rel=0.05)


def test_limits_for_parts_alone_are_those_of_the_f_distribution() -> None:
    rng = np.random.default_rng(2)
    scores = [rng.normal(mean, 0.4, 3) for mean in rng.normal(0, 2, 10)]
    study = gauge.one_way(scores)
    ratio = stats.f_oneway(*scores).statistic
    low, high = gauge.share_limits(study, seed=0)
    for limit, tail in ((low, 0.025), (high, 0.975)):
        rho = max(0.0, (ratio / stats.f.ppf(tail, 9, 20) - 1) / 3)  # of part variance to the gauge's
        assert limit == pytest.approx((1 / (1 + rho)) ** 0.5, rel=0.01)


def test_unweighted_means_are_the_plain_analysis_where_shots_are_as_many() -> None:
    rng = np.random.default_rng(3)
    scores = list(rng.normal(size=(6, 4)) + 2 * rng.normal(size=(6, 1)))
    study = gauge.one_way(scores)
    assert study.part.value / study.error.value == pytest.approx(stats.f_oneway(*scores).statistic)
    assert (study.part.degrees, study.error.degrees, study.shots) == (5, 18, 4)


def test_parts_with_unlike_numbers_of_shots_are_estimated_without_bias() -> None:
    rng, counts = np.random.default_rng(4), (2, 2, 3, 5, 9, 3)
    found = []
    for _ in range(2000):
        made = gauge.one_way([rng.normal(mean, 1, n) for mean, n in zip(rng.normal(0, 0.5, 6), counts, strict=True)])
        found.append(((made.part.value - made.error.value) / made.shots, made.error.value))
    assert np.mean(found, axis=0) == pytest.approx([0.25, 1], abs=0.03)  # by the mean number of shots: 0.33


TRUTHS = [
    {"part": 3.0, "operator": 0.5, "both": 0.5, "shot": 0.5},
    {"part": 1.0, "operator": 0.3, "both": 0.0, "shot": 0.5},
    {"part": 3.0, "operator": 0.0, "both": 0.0, "shot": 0.2},
]


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_limits_hold_the_truth(truth: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 95 %; an interaction that is taken for chance, and variances cut at 0, may cost or give some."""
    monkeypatch.setattr(gauge, "DRAWS", 2000)
    rng, inside = np.random.default_rng(5), 0
    own = truth["operator"] ** 2 + truth["both"] ** 2 + truth["shot"] ** 2
    true = (own / (own + truth["part"] ** 2)) ** 0.5
    for number in range(300):
        low, high = gauge.share_limits(gauge.crossed(drawn(rng, **truth)), seed=number)
        inside += low <= true <= high
    assert 0.92 <= inside / 300 <= 1


def test_what_does_not_vary() -> None:
    same = gauge.variances(gauge.one_way([np.array([2.0, 2.0]), np.array([5.0, 5.0])]))
    assert float(gauge.share(same)) == 0
    assert gauge.distinct_categories(same) is None
    noise = gauge.variances(gauge.one_way([np.array([1.0, 9.0]), np.array([9.0, 1.0])]))
    assert float(gauge.share(noise)) == 1
    assert gauge.distinct_categories(noise) == 1
