"""Whether verdicts on the same parts agree: shares, and kappa, which takes off what chance alone would agree on.

Cohen, Educational and Psychological Measurement 20 (1960) 37-46, for two; Fleiss, Psychological Bulletin 76 (1971)
378-382, for several, here with any number of verdicts a part.
"""

from collections.abc import Sequence

import numpy as np


def cohen_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Of two verdicts (N,) on the same things; None where all are alike, so that chance says nothing."""
    one, other = np.asarray(first), np.asarray(second)
    assert one.shape == other.shape
    by_chance = [float((one == k).mean() * (other == k).mean()) for k in np.unique([one, other])]
    return _beyond_chance(float((one == other).mean()), by_chance)


def fleiss_kappa(verdicts: Sequence[Sequence[int]]) -> float | None:
    """Of the verdicts on each thing, two at least; None where all are alike."""
    kinds = sorted(set().union(*verdicts))
    counts = np.array([[list(one).count(kind) for kind in kinds] for one in verdicts], np.float64)
    totals = counts.sum(axis=1)
    assert (totals > 1).all()
    agreed = ((counts * (counts - 1)).sum(axis=1) / (totals * (totals - 1))).mean()
    return _beyond_chance(float(agreed), [float(one) ** 2 for one in counts.sum(axis=0) / counts.sum()])


def all_alike(verdicts: Sequence[Sequence[int]]) -> int:
    """On how many things all verdicts are the same."""
    return sum(len(set(one)) == 1 for one in verdicts)


def _beyond_chance(agreed: float, by_chance: Sequence[float]) -> float | None:
    chance = sum(by_chance)
    return None if chance >= 1 - 1e-12 else (agreed - chance) / (1 - chance)
