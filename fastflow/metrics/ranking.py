"""AUROC, average precision and F1-max from counts at the distinct scores of the positives.

Nothing else is needed: recall changes only there, and a threshold in between only adds false positives.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastflow.metrics.counting import Counts, Part, Scores, count_above
from fastflow.metrics.value import Value, undefined


class Ranking(NamedTuple):
    """Positives against negatives, one entry for each distinct score of a positive, ascending."""

    score: Scores
    positives: Counts  # with exactly this score
    above: Counts  # negatives with a higher score
    at_least: Counts  # negatives with this score or a higher one
    n_negative: int
    unit: str  # "pixel" or "image", for reasons

    @property
    def n_positive(self) -> int:
        return int(self.positives.sum())

    @property
    def true_positives(self) -> Counts:
        """Positives with this score or a higher one."""
        return self.positives[::-1].cumsum()[::-1]

    @property
    def lacks(self) -> str:
        """Why a metric that needs both classes is undefined; empty where it is defined."""
        return self.lacks_positives or ("" if self.n_negative else f"there is no normal {self.unit}")

    @property
    def lacks_positives(self) -> str:
        return "" if len(self.score) else f"there is no anomalous {self.unit}"


def rank(negatives: Sequence[Part], positives: Scores, *, unit: str) -> Ranking:
    """Rank the scores of the positives (P,) against those of the negatives."""
    score, count = np.unique(positives, return_counts=True)
    return Ranking(score, count, *count_above(negatives, score), unit)


def auroc(ranking: Ranking) -> Value:
    """P(positive > negative), ties counting one half."""
    if ranking.lacks:
        return undefined(ranking.lacks)
    n = ranking.n_negative
    twice = int(ranking.positives @ (2 * n - ranking.above - ranking.at_least))  # integers: exact
    return Value(twice / (2 * n * ranking.n_positive))


def average_precision(ranking: Ranking) -> Value:
    """Sum over thresholds of (gain in recall) * precision: steps, as scikit-learn's, never trapezoids."""
    if ranking.lacks_positives:
        return undefined(ranking.lacks_positives)
    tp = ranking.true_positives
    precision = tp / (tp + ranking.at_least)
    return Value(float(ranking.positives @ precision) / ranking.n_positive)


def f1_max(ranking: Ranking) -> Value:
    """The highest F1 of any threshold. It is chosen on the data it judges: an oracle."""
    if ranking.lacks_positives:
        return undefined(ranking.lacks_positives)
    tp = ranking.true_positives
    return Value(float(np.max(2 * tp / (tp + ranking.at_least + ranking.n_positive))))
