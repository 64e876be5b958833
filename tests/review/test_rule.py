"""Which pictures are drawn: against the binomial distribution, and against sorting all of them."""

import numpy as np
import pytest
from scipy.stats import binom, kstest

from pipelines.review.rule import BORDERLINE, PASS, REJECT, Rule, ordinal, period_of, places, sample_size


@pytest.mark.parametrize(("rate", "size"), [(0.01, 299), (0.05, 59), (0.1, 29), (0.5, 5), (0.001, 2995)])
def test_so_many_without_a_defect_limit_the_rate(rate: float, size: int) -> None:
    assert sample_size(rate) == size
    assert binom.cdf(0, size, rate) <= 0.05 < binom.cdf(0, size - 1, rate)


def test_an_ordinal_is_of_chance_and_always_the_same() -> None:
    every = [ordinal(f"{number:064x}") for number in range(2000)]
    assert kstest(every, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(every[:-1], every[1:])[0, 1]) < 0.08
    assert every[7] == ordinal(f"{7:064x}") != ordinal(f"{7:064x}", seed=1)


def test_a_reject_has_one_place_a_pass_two() -> None:
    rule = Rule(miss_rate=0.05, rejects=7, borderline=9)
    (reject,) = places(rule, sha256="a", pred_label=1, pred_score=0.75, threshold=0.5)
    assert (reject.kind, reject.key, reject.most) == (REJECT, ordinal("a"), 7)
    by_chance, near = places(rule, sha256="a", pred_label=0, pred_score=0.25, threshold=0.5)
    assert (by_chance.kind, by_chance.key, by_chance.most) == (PASS, ordinal("a"), 59)
    assert (near.kind, near.key, near.most) == (BORDERLINE, 0.25, 9)


def test_a_week_is_one_of_iso_8601_in_utc() -> None:
    assert period_of(1767225599) == "2026-W01"  # 2025-12-31 23:59:59
    assert period_of(1767571199) == "2026-W01"  # Sunday, 2026-01-04 23:59:59
    assert period_of(1767571200) == "2026-W02"
