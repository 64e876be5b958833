"""From what was found of each size to a curve of the certificate."""

import math
from collections.abc import Sequence

import numpy as np

from pipelines.qualification.certificate import DetectionCurve, Outcome, Step
from pipelines.qualification.detection import Trials, a90, a90_95, band, contradicted, fit

BAND_PLACES = 25  # sizes at which the limits are drawn


def curve_of(kind: str, contrast: float, steps: Sequence[Step], *, seed: int) -> DetectionCurve:
    """`steps` by ascending size; `seed` of the simulated critical value."""
    trials = Trials(np.log([step.size for step in steps]), np.array([float(step.drawn) for step in steps]))
    found = np.array([float(step.found) for step in steps])
    curve, limit = fit(trials, found[None]), a90_95(trials, found, seed=seed)
    reached = limit.log_size
    outcome: Outcome = "reached" if reached is not None else "not_shown"
    if reached is not None and contradicted(trials, found, reached):
        outcome, reached = "contradicted", None
    middle = a90(curve)
    inside = middle is not None and trials.log_size[0] <= middle <= trials.log_size[-1]
    places = np.linspace(trials.log_size[0], trials.log_size[-1], BAND_PLACES)
    lower, upper = band(trials, found, places, critical=limit.critical)
    return DetectionCurve(
        kind=kind,
        contrast=contrast,
        outcome=outcome,
        a90_95=None if reached is None else up(math.exp(reached), steps[0].size),
        a90=digits(math.exp(middle)) if middle is not None and inside else None,
        intercept=digits(curve.intercept[0]),
        slope=digits(curve.slope[0]),
        steps=list(steps),
        sizes=[digits(math.exp(place)) for place in places],
        lower=[digits(value) for value in lower],
        upper=[digits(value) for value in upper],
    )


def digits(value: float) -> float:
    """Six of them: those behind may differ between machines."""
    return float(f"{value:.6g}")


def up(size: float, smallest: float) -> float:
    """Three digits, rounded up: a limit must not become smaller."""
    if size <= smallest * (1 + 1e-9):
        return smallest
    unit = 10.0 ** (math.floor(math.log10(size)) - 2)
    return digits(math.ceil(size / unit - 1e-9) * unit)
