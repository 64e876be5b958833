"""A small model that has something to fold, images for it, and what it says of them."""

import numpy as np
import torch
from numpy.typing import NDArray

from fastflow.detector import Scores, Sizes
from fastflow.model import FastFlow
from tests.conftest import SIZE, shake, tiny_config


def model_of(**changes: object) -> FastFlow:
    model = FastFlow(tiny_config(**changes)).eval()
    shake(model.flows, scale=0.05)
    with torch.no_grad():
        model.normal_center.add_(torch.rand_like(model.normal_center))
        model.normal_spread.mul_(0.4)
        for module in model.backbone.modules():  # a new batch norm folds to nothing: give it something to fold
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model


def images(count: int, size: tuple[int, int] = (SIZE, SIZE)) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, 3, *size), dtype=np.uint8)


def sizes_of(count: int, model: FastFlow) -> Sizes:
    """Of pictures that fill their frame, and of such that are too wide or too high for it."""
    height, width, step = model.frame.height, model.frame.width, model.frame.grid or 1
    three = [(height, width), (height, step * (width // step // 3)), (step * (height // step // 2), width)]
    return np.array([three[i % 3] for i in range(count)])


def scores_of(model: FastFlow, threshold: float, pixels: NDArray[np.uint8], sizes: Sizes | None = None) -> Scores:
    with torch.no_grad():
        found = model(torch.from_numpy(pixels), None if sizes is None else torch.from_numpy(sizes))
    score = found.pred_score.numpy()
    return Scores(score, (score > threshold).astype(np.int64), found.anomaly_map.numpy())
