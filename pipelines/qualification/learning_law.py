"""From false rejects at several numbers of photographs to those at more: a power law, and how sure it is.

rate(n) = floor + scale * n ** -power, none of them negative: learning curves of many learners follow it (Hestness and
others, Deep learning scaling is predictable, empirically, 2017; Viering and Loog, The shape of learning curves, 2023).
For each of a few powers, floor and scale are a linear least-squares fit (`scipy.optimize.nnls`); the best power counts.

Limits are by the Bayesian bootstrap over the unseen pictures (Rubin, 1981), as all models are judged on the same ones,
and over the seeds; one more picture, of a verdict by chance, keeps them from vanishing where none is rejected.

Legend: S numbers of photographs, K seeds, T unseen pictures.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

POWERS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
RESAMPLES = 499
CONFIDENCE = 0.95
MATTERS = 0.005  # of the false-reject rate: a smaller change is none

Floats = NDArray[np.float64]
Outcome = Literal["enough", "helps", "no_help", "unknown"]


class Law(NamedTuple):
    floor: float
    scale: float
    power: float

    def rate(self, images: "float | Floats") -> Floats:
        return np.asarray(np.minimum(1.0, self.floor + self.scale * np.asarray(images, float) ** -self.power))


class Range(NamedTuple):
    """An estimate, and its limits."""

    value: float
    low: float
    high: float


class Outlook(NamedTuple):
    """What `more` photographs beside all there are would do: the rate `now` and `then`, and the `drop` between."""

    outcome: Outcome
    now: Range
    then: Range
    drop: Range
    law: Law
    laws: list[Law]  # of the resamples


def fit_law(images: Sequence[int], rates: Floats) -> Law:
    """The law of rates (S,), each weighted by how sure a rate of its size is."""
    n = np.asarray(images, float)
    weight = 1 / np.sqrt(np.maximum(rates * (1 - rates), 0.25 / 50))  # as of 50 pictures at least: no rate is certain
    found = []
    for power in POWERS:
        basis = np.stack([np.ones_like(n), (n / n[0]) ** -power], axis=1)
        (floor, scale), misfit = nnls(basis * weight[:, None], rates * weight)
        found.append((misfit, Law(float(floor), float(scale) * n[0] ** power, power)))
    return min(found, key=lambda one: one[0])[1]


def outlook(images: Sequence[int], rejected: NDArray[np.bool_], *, more: int, target: float, seed: int) -> Outlook:
    """Of `rejected` (S, K, T), by ascending `images`; `target`: the rate that the thresholds were taken for."""
    law, rng = fit_law(images, rejected.mean(axis=(1, 2))), np.random.default_rng(seed)
    laws = [fit_law(images, one) for one in _resampled(rejected, rng)]
    last = images[-1]
    now = _range([one.rate(last) for one in laws], law.rate(last))
    then = _range([one.rate(last + more) for one in laws], law.rate(last + more))
    drops = np.array([one.rate(last) - one.rate(last + more) for one in laws])
    drop = _range(drops, law.rate(last) - law.rate(last + more))
    return Outlook(_outcome(drops, float(rejected[-1].mean()), target), now, then, drop, law, laws)


def _resampled(rejected: NDArray[np.bool_], rng: np.random.Generator) -> list[Floats]:
    """Rates (S,) of pictures and seeds weighted by chance."""
    sizes, seeds, pictures = rejected.shape
    found = []
    for _ in range(RESAMPLES):
        weights = rng.dirichlet(np.ones(pictures + 1))
        of_seeds = rng.dirichlet(np.ones(seeds))
        rates = np.einsum("skt,k,t->s", rejected, of_seeds, weights[:-1])
        found.append(rates + weights[-1] * _one_more(sizes, rng))
    return found


def _one_more(sizes: int, rng: np.random.Generator) -> Floats:
    """Whether a picture that was not seen is rejected at each size: always, never, or until there are enough images."""
    until = [0, sizes, int(rng.integers(0, sizes + 1))][rng.integers(3)]
    return np.asarray(np.arange(sizes) < until, float)


def _outcome(drops: Floats, observed: float, target: float) -> Outcome:
    if observed <= target:
        return "enough"
    if np.mean(drops > MATTERS) >= CONFIDENCE:
        return "helps"
    return "no_help" if np.mean(drops <= MATTERS) >= CONFIDENCE else "unknown"


def _range(values: "Sequence[Floats] | Floats", estimate: Floats) -> Range:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.asarray(values, float), [tail, 1 - tail])
    value = float(estimate)
    return Range(value, min(float(low), value), max(float(high), value))
