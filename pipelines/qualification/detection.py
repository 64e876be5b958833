"""Probability of detection over size, from defects that were found or missed: hit/miss analysis.

Curve and limit are those of MIL-HDBK-1823A (appendix G) and ASTM E2862: a logistic curve in the logarithm of size, by
maximum likelihood, and limits by the likelihood ratio, which exist where found and missed sizes do not overlap, too.
a90 is the size that is found with probability 0.90; a90/95 is its upper limit, one-sided, with 95 % confidence.

The handbook takes the ratio's critical value from the chi-squared distribution. For a hundred trials of which few lie
where the curve rises, that limit holds in 87 to 94 of 100 cases instead of 95, so here the value is simulated at the
curve in question (parametric bootstrap; DiCiccio, Martin and Stern, 2001). Nothing is extrapolated beyond the sizes
tried.
Legend: S sizes, B data sets.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit

from fastflow.metrics.rates import upper_limit

TARGET, CONFIDENCE = 0.90, 0.95
HEIGHT = float(logit(TARGET))
STEEPEST = 200.0  # slope that counts as a step: from 0.1 to 0.9 within 2 % of size
SIMULATED = 499  # data sets for a critical value
HALVINGS = 10  # of the range of log sizes, in which the limit is looked for: to 0.4 % of size where that is 32-fold
FARTHEST_LOGIT = 30.0  # of a limit's height at one size: a probability of 1e-13

Floats = NDArray[np.float64]


class Trials(NamedTuple):
    """What was tried: `log_size` (S,), ascending, and how often each, `tried` (S,)."""

    log_size: Floats
    tried: Floats


class Curve(NamedTuple):
    """logit(probability) = intercept + slope * log_size, and the data's log-likelihood; arrays (B,)."""

    intercept: Floats
    slope: Floats
    log_likelihood: Floats

    def logits(self, log_size: Floats) -> Floats:
        """(B, S) at the sizes (S,)."""
        return np.asarray(self.intercept[:, None] + self.slope[:, None] * log_size)


class Limit(NamedTuple):
    """a90/95 as `log_size`, None where it is not below the largest size tried; and the `critical` value of the signed
    root of the likelihood ratio that decided there."""

    log_size: float | None
    critical: float


def log_likelihood(trials: Trials, found: Floats, logits: Floats) -> Floats:
    """(B,) of `found` (B, S) at logits (B, S)."""
    return np.asarray((found * log_expit(logits) + (trials.tried - found) * log_expit(-logits)).sum(axis=1))


def fit(trials: Trials, found: Floats) -> Curve:
    """The likeliest curve that does not fall, of each row of `found` (B, S), by Newton's method.

    Where found and missed sizes do not overlap there is none: then one that is as good as a step.
    """
    middle, width = trials.log_size.mean(), max(float(trials.log_size.std()), 1e-12)
    x = (trials.log_size - middle) / width
    share = (found.sum(axis=1) + 0.5) / (trials.tried.sum() + 1)
    level, slope = logit(share), np.zeros(len(found))
    best = Curve(level, slope, log_likelihood(trials, found, np.repeat(level[:, None], len(x), axis=1)))
    for _ in range(25):
        probability = expit(level[:, None] + slope[:, None] * x)
        residual, weight = found - trials.tried * probability, trials.tried * probability * (1 - probability) + 1e-12
        steps = newton_step(residual, weight, x)
        level, slope = level + steps[0], np.clip(slope + steps[1], 0, STEEPEST * width)
        here = log_likelihood(trials, found, level[:, None] + slope[:, None] * x)
        better = here > best.log_likelihood
        best = Curve(*(np.where(better, new, old) for new, old in zip((level, slope, here), best, strict=True)))
        if np.abs(steps).max() < 1e-9:
            break
    return Curve(best.intercept - best.slope * middle / width, best.slope / width, best.log_likelihood)


def newton_step(residual: Floats, weight: Floats, x: Floats) -> Floats:
    """(2, B) for level and slope, at most 4 each: far from the solution, full steps overshoot."""
    slopes = residual.sum(axis=1), (residual * x).sum(axis=1)
    a, b, c = weight.sum(axis=1), (weight * x).sum(axis=1), (weight * x**2).sum(axis=1)
    determinant = np.maximum(a * c - b**2, 1e-20)
    steps = np.stack([c * slopes[0] - b * slopes[1], a * slopes[1] - b * slopes[0]]) / determinant
    return np.asarray(steps * np.minimum(1, 4 / np.maximum(np.abs(steps).max(axis=0), 1e-12)))


def through(trials: Trials, found: Floats, log_size: float, height: float = HEIGHT) -> Curve:
    """The likeliest curve that does not fall and has the logit `height` at `log_size`; of each row, by halving."""
    x = trials.log_size - log_size
    low, high = np.zeros(len(found)), np.full(len(found), STEEPEST)
    for _ in range(28):
        slope = (low + high) / 2
        rises = ((found - trials.tried * expit(height + slope[:, None] * x)) * x).sum(axis=1) > 0
        low, high = np.where(rises, slope, low), np.where(rises, high, slope)
    slope = (low + high) / 2
    return Curve(height - slope * log_size, slope, log_likelihood(trials, found, height + slope[:, None] * x))


def signed_root(trials: Trials, found: Floats, best: Curve, log_size: float, height: float = HEIGHT) -> Floats:
    """Of the likelihood ratio of all curves to those through a point, (B,); above 0 where more was found than that."""
    bound = through(trials, found, log_size, height)
    more = (found - trials.tried * expit(bound.logits(trials.log_size))).sum(axis=1)
    return np.asarray(np.sign(more) * np.sqrt(2 * np.maximum(best.log_likelihood - bound.log_likelihood, 0)))


def critical_value(trials: Trials, found: Floats, log_size: float, *, seed: int) -> float:
    """What the signed root stays below with `CONFIDENCE`, were a90 at `log_size` and the rest as likely as can be;
    simulated."""
    chance = expit(through(trials, found, log_size).logits(trials.log_size))[0]
    drawn = np.random.default_rng(seed).binomial(trials.tried.astype(np.int64), chance, (SIMULATED, len(chance)))
    roots = signed_root(trials, drawn.astype(np.float64), fit(trials, drawn.astype(np.float64)), log_size)
    return float(np.quantile(roots, CONFIDENCE, method="higher"))


def a90_95(trials: Trials, found: Floats, *, seed: int) -> Limit:
    """The limit for `found` (S,): from the smallest size on, and None where the largest does not keep it."""
    rows = found[None]
    best = fit(trials, rows)

    def is_above(log_size: float) -> tuple[bool, float]:
        critical = critical_value(trials, rows, log_size, seed=seed)
        return bool(signed_root(trials, rows, best, log_size)[0] > critical + 1e-9), critical

    low, high = float(trials.log_size[0]), float(trials.log_size[-1])
    kept, critical = is_above(high)
    if not kept:
        return Limit(None, critical)
    kept, value = is_above(low)
    if kept:
        return Limit(low, value)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        kept, value = is_above(middle)
        low, high, critical = (low, middle, value) if kept else (middle, high, critical)
    return Limit(high, critical)


def a90(curve: Curve) -> float | None:
    """The log size at which the curve (of one row) is at `TARGET`; None where it is flat."""
    return float((HEIGHT - curve.intercept[0]) / curve.slope[0]) if curve.slope[0] > 0 else None


def contradicted(trials: Trials, found: Floats, log_size: float) -> bool:
    """Whether sizes from there on were found less often than `TARGET`, by the exact limit: no such curve fits."""
    counts = trials.log_size >= log_size - 1e-9
    total, seen = int(trials.tried[counts].sum()), int(found[counts].sum())
    return bool(upper_limit(seen, total, confidence=CONFIDENCE) < TARGET)


def band(trials: Trials, found: Floats, log_size: Floats, *, critical: float) -> tuple[Floats, Floats]:
    """Limits of the probability at each of `log_size` (P,), lower and upper, each one-sided, by the likelihood ratio
    with the critical value of `a90_95`: the lower reaches 0.90 there."""
    rows = found[None]
    best = fit(trials, rows)
    limits = np.empty((2, len(log_size)))
    for place, at in enumerate(log_size):
        middle = float(np.clip(best.logits(np.array([at]))[0, 0], -FARTHEST_LOGIT, FARTHEST_LOGIT))
        for row, end in enumerate((-FARTHEST_LOGIT, FARTHEST_LOGIT)):

            def beyond(height: float, at: float = float(at)) -> float:
                return float(abs(signed_root(trials, rows, best, at, height)[0]) - critical)

            outside = beyond(end) > 0 > beyond(middle)
            limits[row, place] = brentq(beyond, middle, end, xtol=1e-3) if outside else end
    return expit(limits[0]), expit(limits[1])
