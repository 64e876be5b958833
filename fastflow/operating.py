"""The operating point of a trained model: its thresholds, and the colour scale of its pictures."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastflow.features import batches
from fastflow.model import FastFlow
from fastflow.threshold import threshold_for

PIXEL_QUANTILE = 0.999


@torch.no_grad()
def operating_point(
    model: FastFlow, features: list[Tensor], *, false_reject_rate: float, batch_size: int
) -> dict[str, Any]:
    """JSON-able thresholds from the features of good images; no label and no test image has a say.

    `image` is the threshold of pred_score for the rate, `pixel` the 99.9 % quantile of the anomaly maps, `low` their
    median (where colours begin); `method`, `num_normal` and `guarantee` say what the image threshold is worth.

    Raises:
        ValueError: fewer than 2 images, or a rate not between 0 and 1.
    """
    predictions = [model.score([f[part] for f in features]) for part in batches(len(features[0]), batch_size)]
    found = threshold_for(torch.cat([p.pred_score for p in predictions]).cpu(), false_reject_rate=false_reject_rate)
    pixels = torch.cat([p.anomaly_map.flatten() for p in predictions]).cpu().numpy()
    low, pixel = np.quantile(pixels, [0.5, PIXEL_QUANTILE])
    return {
        "image": found.value,
        "pixel": float(pixel),
        "low": float(low),
        "false_reject_rate": false_reject_rate,
        "method": found.method,
        "num_normal": found.num_normal,
        "guarantee": "none: it comes from images that the model was trained on, so more good parts may be rejected",
    }
