"""Kappa against published figures, another library and the closed form for two categories."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from pipelines.qualification.agreement import all_alike, cohen_kappa, fleiss_kappa

# 14 judges, 10 things, 5 categories: the example that the literature on Fleiss' kappa works through, kappa .210
COUNTS = [
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
]  # fmt: skip


def test_fleiss_published_example() -> None:
    verdicts = [np.repeat(range(5), one).tolist() for one in COUNTS]
    assert fleiss_kappa(verdicts) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_of_two_categories_is_its_closed_form() -> None:
    """1 - sum x (m - x) / (N m (m - 1) p q), x of m verdicts being 1."""
    rng = np.random.default_rng(0)
    verdicts = rng.binomial(1, rng.uniform(0, 1, (20, 1)), (20, 5))
    rejected, share = verdicts.sum(axis=1), verdicts.mean()
    expected = 1 - (rejected * (5 - rejected)).sum() / (20 * 5 * 4 * share * (1 - share))
    assert fleiss_kappa(verdicts.tolist()) == pytest.approx(expected)


def test_cohen_is_another_librarys() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        first = rng.integers(0, 2, 30)
        second = np.where(rng.random(30) < 0.3, 1 - first, first)
        expected = cohen_kappa_score(first, second)
        assert cohen_kappa(first.tolist(), second.tolist()) == pytest.approx(expected)


def test_verdicts_that_are_all_alike_have_no_kappa() -> None:
    assert fleiss_kappa([[1, 1], [1, 1, 1]]) is None
    assert cohen_kappa([0, 0], [0, 0]) is None
    assert fleiss_kappa([[1, 1], [0, 0, 0]]) == 1
    assert cohen_kappa([0, 1], [1, 0]) == -1
    assert all_alike([[1, 1], [0, 1], [0, 0]]) == 2
