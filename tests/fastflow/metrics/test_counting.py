"""Counting above values: whatever the chunks and threads, the counts are those of a plain comparison."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fastflow.metrics import counting
from fastflow.metrics.counting import Part, count_above


def parts_and_values(seed: int) -> tuple[list[Part], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    parts = []
    for shape in ((7, 5), (300, 2), (1, 1), (40, 50), (9,), (600,), (0,)):
        scores = random.integers(0, 40, shape).astype(np.float32)
        parts.append(Part(scores, None if seed % 2 else random.random(shape) < 0.3))
    return parts, np.unique(random.integers(-5, 45, 30)).astype(np.float32)


@pytest.mark.parametrize("in_flight", [2, 64, 500, 2**26])
@pytest.mark.parametrize("workers", [1, 3, 16, None])
@pytest.mark.parametrize("at_once", [1, 7, 2**18])
def test_counts_do_not_depend_on_chunks(
    in_flight: int, workers: int | None, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SCORES_IN_FLIGHT", in_flight)
    monkeypatch.setattr(counting, "VALUES_AT_ONCE", at_once)
    for seed in range(2):
        parts, values = parts_and_values(seed)
        background = np.concatenate([part.background() for part in parts])
        counts = count_above(parts, values, workers=workers)
        assert counts.total == len(background)
        assert counts.above.tolist() == [(background > value).sum() for value in values]
        assert counts.at_least.tolist() == [(background >= value).sum() for value in values]


def test_nothing_to_count() -> None:
    values = np.array([1.0, 2.0], np.float32)
    empty = count_above([], values)
    assert (empty.above.tolist(), empty.at_least.tolist(), empty.total) == ([0, 0], [0, 0], 0)
    all_defect = count_above([Part(values, np.ones(2, bool))], values)
    assert (all_defect.at_least.tolist(), all_defect.total) == ([0, 0], 0)
    assert count_above([Part(values)], values[:0]).total == 2


def test_scores_given_are_left_as_they_are() -> None:
    scores = np.array([3.0, 1.0, 2.0], np.float32)
    count_above([Part(scores)], scores[:1])
    assert scores.tolist() == [3, 1, 2]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_threads_together_hold_a_bounded_number_of_scores(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SCORES_IN_FLIGHT", 10_000)
    parts = [Part(np.zeros((50, 20), np.float32)) for _ in range(80)]
    sizes = [sum(p.scores.size for p in chunk) for chunk in counting._chunks(parts, workers)]
    assert sum(sizes) == 80_000
    assert len(sizes) % workers == 0
    assert max(sizes) * workers <= 10_000 + workers * 1_000
