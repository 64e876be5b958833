"""The operating point says on how many good pictures its pixel threshold marks something."""

import numpy as np
import torch

from fastflow.crossfit import NormalScores
from fastflow.operating import operating_point


def test_the_rate_of_pictures_above_the_pixel_threshold_is_counted() -> None:
    pixels = np.random.default_rng(0).random((50, 1000)).astype(np.float32)
    pixels[3, :30] = pixels[17, :40] = 5.0  # a picture has many of them: the rate is of pictures, not of pixels
    pixels[20, 500:] = np.nan  # padding
    normal = NormalScores(torch.rand(50), torch.from_numpy(pixels), torch.zeros(50), 2)
    found = operating_point(normal, false_reject_rate=0.01, bounds=None)
    assert np.isclose(found["pixel"], 5.0)
    assert found["pixel_rate"] == 0.0
    pixels[3, 0] = pixels[17, 5] = pixels[30, 7] = 6.0
    assert operating_point(normal, false_reject_rate=0.01, bounds=None)["pixel_rate"] == 3 / 50
