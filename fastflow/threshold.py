"""Thresholds from scores of normal images alone.

A threshold for a false-reject rate r is a quantile of such scores. By rank alone it needs (n + 1) r >= 1, so n >= 99
images for 1 %; below that the tail is extrapolated. Its guarantee depends on whose scores they are:
`guarantee` holds for images that the scoring model was not trained on.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

Method = Literal["rank", "tail"]
Scores = NDArray[np.float64]
_TAIL_FRACTION = 0.2  # of the scores, at least _MIN_TAIL_SCORES: what the tail is fitted to
_MIN_TAIL_SCORES = 10
_EDGE_FRACTION = 1e-7  # of the bounds' distance: float32 rounds closer scores to the bound itself


class Threshold(NamedTuple):
    """A score is anomalous above `value`; how it was determined, and its guarantee."""

    value: float
    false_reject_rate: float
    num_normal: int
    method: Method
    guarantee: str


def threshold_for(
    pred_score: ArrayLike, *, false_reject_rate: float, bounds: tuple[float, float] | None = None
) -> Threshold:
    """The threshold for a target rate from normal scores (n,), of models that did not see their images.

    `bounds`: the range of scores (`ScoreRule.bounds`). A tail is then extrapolated on the log-odds of the score's
    place between them, so that the threshold stays inside.

    Raises:
        ValueError: a rate not between 0 and 1, fewer than 2 scores, or scores that are not finite.
    """
    scores = np.sort(np.asarray(pred_score, np.float64))
    if not 0 < false_reject_rate < 1:
        raise ValueError(f"the false-reject rate is {false_reject_rate}; allowed: between 0 and 1, such as 0.01")
    if len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError(f"a threshold needs at least 2 finite scores of normal images, got {len(scores)}")
    rank = math.ceil((len(scores) + 1) * (1 - false_reject_rate))
    if rank <= len(scores):
        text = (
            f"of the next normal images, at most {100 * false_reject_rate:.3g} % are expected above it, if they are "
            f"like the {len(scores)} it comes from and were not trained on"
        )
        return Threshold(float(scores[rank - 1]), false_reject_rate, len(scores), "rank", text)
    tail, highest = _bounded_tail(scores, false_reject_rate, bounds), float(scores[-1])
    value = max(highest, tail)
    how = "the tail of their scores is extrapolated" if tail > highest else "it is the highest of their scores"
    text = (
        f"none: {len(scores)} normal images can promise no rate below {100 / (len(scores) + 1):.2g} %; for "
        f"{100 * false_reject_rate:.3g} % {how}"
    )
    return Threshold(value, false_reject_rate, len(scores), "tail", text)


def _bounded_tail(ordered: Scores, rate: float, bounds: tuple[float, float] | None) -> float:
    if bounds is None:
        return _tail_quantile(ordered, rate)
    low, high = bounds
    place = ((ordered - low) / (high - low)).clip(_EDGE_FRACTION, 1 - _EDGE_FRACTION)
    return low + (high - low) * float(expit(_tail_quantile(logit(place), rate)))


def _tail_quantile(ordered: Scores, rate: float) -> float:
    """The quantile beyond the last score by an exponential tail over the highest ones.

    The excess over a high level is taken as exponential: the generalised Pareto tail with shape 0, the only one
    that a handful of points can bear (peaks over threshold; Coles 2001, section 4.2).
    """
    count = min(len(ordered) - 1, max(_MIN_TAIL_SCORES, math.ceil(_TAIL_FRACTION * len(ordered))))
    level = ordered[-count - 1]
    scale = float((ordered[-count:] - level).mean())
    return float(level + scale * math.log(count / len(ordered) / rate))
