"""How much of a score's variation is the measurement's own: gauge repeatability and reproducibility.

Analysis of variance, parts and operators random: AIAG, Measurement Systems Analysis, 4th edition, chapter III.
Confidence limits by generalized inference: Hamada and Weerahandi, Journal of Quality Technology 32 (2000) 241-253. For
parts alone they are those of the F distribution; where shots of a part differ in number, with unweighted means: Thomas
and Hultquist, Annals of Statistics 6 (1978) 582-587.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

Array = NDArray[np.float64]
POOL_ABOVE = 0.25  # p-value of the interaction from which on it is taken for chance, AIAG's custom
DRAWS = 100_000
CATEGORIES = 1.41  # AIAG's factor of the number of distinct categories


class Square(NamedTuple):
    """A mean square, and its degrees of freedom."""

    value: float
    degrees: int


class Study(NamedTuple):
    """Mean squares of shots of `parts` by `operators` (1: nobody is distinguished), `shots` of each part by each: their
    harmonic mean. `interaction` None: pooled into `error`, as its `p_value` is high, or there are no operators."""

    parts: int
    operators: int
    shots: float
    part: Square
    operator: Square | None
    interaction: Square | None
    error: Square
    p_value: float | None


class Variances(NamedTuple):
    """Of a score, in its units squared: floats, or arrays (N,) of as many draws."""

    part: Array
    operator: Array
    interaction: Array
    repeatability: Array

    @property
    def gauge(self) -> Array:
        """Repeatability and reproducibility together."""
        return self.operator + self.interaction + self.repeatability


def one_way(scores: Sequence[Array]) -> Study:
    """Shots of parts: the scores (shots,) of each part, two parts and one with two shots at least."""
    counts = np.array([len(one) for one in scores])
    shots = len(counts) / (1 / counts).sum()
    means = np.array([one.mean() for one in scores])
    within = float(sum(((one - one.mean()) ** 2).sum() for one in scores))
    part = Square(shots * float(means.var(ddof=1)), len(counts) - 1)
    degrees = int((counts - 1).sum())
    return Study(len(counts), 1, float(shots), part, None, None, Square(within / degrees, degrees), None)


def crossed(scores: Array) -> Study:
    """Scores (parts, operators, shots), two of each at least: every operator has photographed every part as often."""
    parts, operators, shots = scores.shape
    mean, cell = scores.mean(), scores.mean(axis=2)
    of_part = operators * shots * float(((cell.mean(axis=1) - mean) ** 2).sum())
    of_operator = parts * shots * float(((cell.mean(axis=0) - mean) ** 2).sum())
    of_both = max(0.0, shots * float(((cell - mean) ** 2).sum()) - of_part - of_operator)
    of_shots = float(((scores - cell[..., None]) ** 2).sum())
    between, within = (parts - 1) * (operators - 1), parts * operators * (shots - 1)
    interaction, error = Square(of_both / between, between), Square(of_shots / within, within)
    p_value = float(fdtrc(between, within, interaction.value / error.value)) if error.value > 0 else 0.0
    part, operator = Square(of_part / (parts - 1), parts - 1), Square(of_operator / (operators - 1), operators - 1)
    if p_value > POOL_ABOVE:
        pooled = Square((of_both + of_shots) / (between + within), between + within)
        return Study(parts, operators, shots, part, operator, None, pooled, p_value)
    return Study(parts, operators, shots, part, operator, interaction, error, p_value)


def variances(study: Study) -> Variances:
    """The estimates; one below 0 is 0."""
    squares = (study.part, study.operator, study.interaction, study.error)
    found = _solve(study, *(None if one is None else np.array(one.value) for one in squares))
    return Variances(*(np.maximum(one, 0) for one in found))


def share(found: Variances) -> Array:
    """%GRR as a fraction: the gauge's standard deviation over that of all variation; 0 where nothing varies."""
    total = found.gauge + found.part
    return np.sqrt(np.divide(found.gauge, total, out=np.zeros_like(total), where=total > 0))


def share_limits(study: Study, *, seed: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided limits of `share`."""
    rng = np.random.default_rng(seed)

    def drawn(square: Square | None) -> Array | None:
        return None if square is None else square.degrees * square.value / rng.chisquare(square.degrees, DRAWS)

    found = _solve(study, drawn(study.part), drawn(study.operator), drawn(study.interaction), drawn(study.error))
    tail, estimate = (1 - confidence) / 2, float(share(variances(study)))
    low, high = np.quantile(share(found._replace(part=np.maximum(found.part, 0))), [tail, 1 - tail])
    return min(float(low), estimate), max(float(high), estimate)


def distinct_categories(found: Variances) -> int | None:
    """So many groups of parts the gauge tells apart, 1 at least; None where it has no spread at all."""
    if found.gauge <= 0:
        return None
    return max(1, math.floor(CATEGORIES * math.sqrt(found.part / found.gauge)))


def _solve(
    study: Study, part: Array | None, operator: Array | None, interaction: Array | None, error: Array | None
) -> Variances:
    """Variances from expected mean squares; those of one source may be below 0, `gauge` never is."""
    assert part is not None
    assert error is not None
    nothing = np.zeros_like(error)
    if operator is None:
        return Variances((part - error) / study.shots, nothing, nothing, error)
    beside = error if interaction is None else interaction  # what operators and parts are compared with
    return Variances(
        (part - beside) / (study.operators * study.shots),
        (operator - beside) / (study.parts * study.shots),
        nothing if interaction is None else (interaction - error) / study.shots,
        error,
    )
