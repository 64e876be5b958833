"""Whether recent photographs are still like those a model was calibrated on, and if not, what has changed. Figures in,
verdict out: no file, no model.

`recent` and `reference` are tables with a row an image: pred_score, width, height, brightness, contrast, sharpness; the
reference holds good training images alone, each scored by a model that did not see it.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fastflow.errors import BadData
from fastflow.metrics.rates import rate_interval

LEVELS = ("brightness", "contrast", "sharpness")
FIGURES = ["pred_score", "width", "height", *LEVELS]
ALPHA = 0.001  # significance level of each of the six tests: false alarms together are below 1 in 100
MIN_SHIFT_SD = 1.0  # of a median, in robust standard deviations of the reference: less is no alarm, however significant
MAX_OTHER_SIZES_FRACTION = 0.05  # fraction of images of a size that training did not have
PSI_BINS = 10  # of the population stability index
ENVELOPE_QUANTILES = (0.005, 0.995)  # quantiles of the reference, between which most images should lie
NORMAL_IQR_SD = 1.349  # interquartile range of a normal distribution, in standard deviations
Values = NDArray[np.float64]


class Shift(NamedTuple):
    """One figure, of the calibration (then) and now. `ks`: largest distance of the two distribution functions,
    `p_value` of that distance; `psi`: population stability index over deciles of the reference; `moved`: of the
    median, in robust standard deviations; `outside`: share of recent images outside `envelope`."""

    name: str
    median_then: float
    median: float
    envelope: tuple[float, float]
    outside: float
    moved: float
    ks: float
    p_value: float
    psi: float
    changed: bool


class Verdict(NamedTuple):
    """`kind`: too_few, same, camera, scores or defects; the last three are alarms. `sentence` states it as text."""

    kind: str
    sentence: str
    images: int
    rejected: int
    limits: tuple[float, float]
    shifts: list[Shift]

    @property
    def alarm(self) -> bool:
        return self.kind in ("camera", "scores", "defects")


def judge(
    recent: pd.DataFrame, reference: pd.DataFrame, *, threshold: float, usual_rejects: float, least: int
) -> Verdict:
    """The verdict on `recent`. `usual_rejects`: the share of rejected parts that needs no explanation; `least`: the
    number of images below which there is no verdict.

    A new camera or light changes the appearance of most images; more defects change a few images, and no median. So
    appearance is tested first, then the distribution of scores, and the number of rejects last.

    Raises:
        BadData: a figure or the threshold is not finite: nothing follows from it.
    """
    for what, numbers in {"recent": recent[FIGURES], "reference": reference[FIGURES], "threshold": threshold}.items():
        if not np.isfinite(np.asarray(numbers, np.float64)).all():
            raise BadData(f"drift: a number of the {what} images' figures is not finite; score and train them anew")
    images, rejected = len(recent), int((recent["pred_score"] > threshold).sum())
    limits = rate_interval(rejected, images)
    shifts = [shift(name, recent, reference) for name in ("pred_score", *LEVELS)] if images else []
    kind, sentence = _verdict(recent, reference, shifts, rejected, usual_rejects=usual_rejects, least=least)
    return Verdict(kind, sentence, images, rejected, limits, shifts)


def _verdict(
    recent: pd.DataFrame,
    reference: pd.DataFrame,
    shifts: list[Shift],
    rejected: int,
    *,
    usual_rejects: float,
    least: int,
) -> tuple[str, str]:
    images = len(recent)
    if images < least:
        return "too_few", f"{images} images are too few to tell; {least} are needed"
    other = other_sizes(recent, reference)
    looks = [f"{s.name} {'rose' if s.moved > 0 else 'fell'}" for s in shifts[1:] if s.changed]
    if rate_interval(other, images, confidence=1 - 2 * ALPHA)[0] > MAX_OTHER_SIZES_FRACTION:
        looks.append(f"{other} of {images} photographs have a size that training did not have")
    if looks:
        return "camera", f"the camera, the light or the crop changed: {', '.join(looks)}; look there before the parts"
    if shifts[0].changed and moved_as_a_whole(recent["pred_score"], reference["pred_score"]):
        way = "higher" if shifts[0].moved > 0 else "lower"
        return "scores", f"nearly all images score {way}, though they look alike: position, focus, material or model?"
    if not rate_interval(rejected, images, confidence=1 - 2 * ALPHA)[0] <= usual_rejects:
        return (
            "defects",
            f"{rejected} of {images} parts are rejected, more than the usual {usual_rejects:.1%} (drift.usual_rejects)",
        )
    return "same", "looks and scores are those of the calibration"


def shift(name: str, recent: pd.DataFrame, reference: pd.DataFrame) -> Shift:
    """How far one column moved; `changed` where the distributions differ for sure and the median by `MIN_SHIFT_SD`."""
    now, then = (table[name].to_numpy(np.float64) for table in (recent, reference))
    found = stats.ks_2samp(now, then)
    low, high = (float(value) for value in np.quantile(then, ENVELOPE_QUANTILES))
    moved = float(np.median(now) - np.median(then)) / spread(then)
    return Shift(
        name=name,
        median_then=float(np.median(then)),
        median=float(np.median(now)),
        envelope=(low, high),
        outside=float(((now < low) | (now > high)).mean()),
        moved=moved,
        ks=float(found.statistic),
        p_value=float(found.pvalue),
        psi=stability_index(now, then),
        changed=not (found.pvalue >= ALPHA or abs(moved) < MIN_SHIFT_SD),
    )


def spread(values: Values) -> float:
    """A standard deviation that outliers do not stretch; of values that are all alike, a billionth of them."""
    quarter, three_quarters = np.quantile(values, (0.25, 0.75))
    return max(float(three_quarters - quarter) / NORMAL_IQR_SD, abs(float(quarter)) * 1e-9, 1e-12)


def stability_index(now: Values, then: Values) -> float:
    """Population stability index: sum of (p - q) ln(p / q) over deciles of `then`. By custom, below 0.1 is the same,
    above 0.25 another population. Half an image is added to each bin, so that an empty one is no infinity."""
    edges = np.quantile(then, np.linspace(0, 1, PSI_BINS + 1)[1:-1])
    p, q = (
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=PSI_BINS) + 0.5 for values in (now, then)
    )
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def moved_as_a_whole(now: "pd.Series[float]", then: "pd.Series[float]") -> bool:
    """Three of four recent scores are above, or below, those of three of four before: rejects alone cannot do that."""
    return bool(now.quantile(0.25) > then.quantile(0.75) or now.quantile(0.75) < then.quantile(0.25))


def other_sizes(recent: pd.DataFrame, reference: pd.DataFrame) -> int:
    """How many recent images have a width and height that no image of the reference has."""
    known = set(zip(reference["width"], reference["height"], strict=True))
    return sum(size not in known for size in zip(recent["width"], recent["height"], strict=True))
