"""The operating point of a trained model: its thresholds, and the colour scale of its pictures."""

from typing import Any

import numpy as np

from fastflow.crossfit import NormalScores
from fastflow.threshold import Threshold, threshold_for

PIXEL_QUANTILE = 0.999


def operating_point(
    normal: NormalScores, *, false_reject_rate: float, bounds: tuple[float, float] | None
) -> dict[str, Any]:
    """JSON-able thresholds from the scores of good images alone, without labels or test images.

    `image` is the threshold of pred_score for the rate, `pixel` the 99.9 % quantile of the anomaly maps, `low` their
    median (where colours begin); `method`, `num_normal`, `folds` and `guarantee` say what the image threshold is
    worth. `pixel_rate` is the share of these good images that have a pixel above `pixel`: so many will have a region
    marked. `bounds`: as in `threshold_for`.

    Raises:
        ValueError: fewer than 2 images, or a rate not between 0 and 1.
    """
    found = threshold_for(normal.pred_score.double(), false_reject_rate=false_reject_rate, bounds=bounds)
    pixels = normal.pixels.numpy()
    low, pixel = np.nanquantile(pixels, [0.5, PIXEL_QUANTILE])  # padding is NaN
    return {
        "image": found.value,
        "pixel": float(pixel),
        "pixel_rate": float((np.nanmax(pixels, axis=1) > pixel).mean()),
        "low": float(low),
        "false_reject_rate": false_reject_rate,
        "method": found.method,
        "num_normal": found.num_normal,
        "folds": normal.folds,
        "guarantee": guarantee(found, normal.folds),
    }


def guarantee(found: Threshold, folds: int) -> str:
    """The guarantee of a threshold: `found` has the one for scores of exactly the model that it is for."""
    if not folds:
        return "none: it comes from images that the model was trained on, so more good parts may be rejected"
    if found.method == "tail":
        return found.guarantee
    return (
        f"approximate: {found.guarantee}. Each was scored by one of {folds} models trained without it; the model "
        "itself, trained on all of them, should score new good images no higher than those"
    )
