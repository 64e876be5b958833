"""Wrong verdicts of labelled images, counted; and how sure a counted rate is: exact binomial limits."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv


def mistakes(gt_label: ArrayLike, pred_label: ArrayLike) -> dict[str, tuple[int, int]]:
    """How many of how many: good images (0) that are flagged (1), and defective ones that are not; labels (N,)."""
    defective, flagged = np.asarray(gt_label) == 1, np.asarray(pred_label) == 1
    return {
        "false_reject": (int((flagged & ~defective).sum()), int((~defective).sum())),
        "miss": (int((~flagged & defective).sum()), int(defective.sum())),
    }


def error_rates(gt_label: ArrayLike, pred_label: ArrayLike) -> dict[str, float | None]:
    """false_reject_rate and miss_rate (0..1) of labels (N,); None where no image is of the kind."""
    counted = mistakes(gt_label, pred_label)
    return {f"{name}_rate": wrong / total if total else None for name, (wrong, total) in counted.items()}


def rate_interval(count: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Limits of the rate that `count` of `total` independent trials stand for (Clopper and Pearson, 1934).

    They hold the true rate at least as often as `confidence` says. Without a trial they are (0, 1).

    Raises:
        ValueError: a count that is negative or above the total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no rate; the count must lie between 0 and the total")
    if not total:
        return 0.0, 1.0
    tail = (1 - confidence) / 2  # scipy.stats has this too, and takes half a second to import
    low = betaincinv(count, total - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - tail) if count < total else 1.0
    return float(low), float(high)


def upper_limit(count: int, total: int, *, confidence: float) -> float:
    """The upper end of the one-sided interval (Clopper and Pearson, 1934). Raises as `rate_interval`."""
    return rate_interval(count, total, confidence=2 * confidence - 1)[1]


def sign_test(worse: int, better: int) -> float:
    """One-sided p-value of so many changes for the worse among all changes, were either direction as likely: the exact
    form of McNemar's test (1947). 1 where nothing changed."""
    if not worse:
        return 1.0
    return float(betainc(worse, better + 1, 0.5))  # P(X >= worse) of a binomial with worse + better trials
