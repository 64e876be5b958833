"""A trained model on the test images of a category: scores, maps, and the metrics of both."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fastflow.data import read_masks
from fastflow.features import predict
from fastflow.metrics.image import image_auroc
from fastflow.metrics.pixel import pixel_metrics
from fastflow.metrics.value import Value, undefined
from fastflow.model import FastFlow

PIXEL_METRICS = ("pixel_auroc", "aupro")


class Scored(NamedTuple):
    """pred_score (N,), anomaly_maps (N, H, W), both float32, and the wall time per image, decoding included."""

    pred_score: NDArray[np.float32]
    anomaly_maps: NDArray[np.float32]
    milliseconds_per_image: float


def score_images(model: FastFlow, paths: Sequence[Path], *, batch_size: int, device: torch.device) -> Scored:
    """Scores image files in order.

    Raises:
        BadImage: a file that cannot be decoded.
    """
    start = time.perf_counter()
    size = model.config.image_size
    if not paths:
        return Scored(np.empty(0, np.float32), np.empty((0, *size), np.float32), 0.0)
    predictions = list(predict(model, paths, batch_size=batch_size, device=device))
    milliseconds = 1000 * (time.perf_counter() - start) / len(paths)
    return Scored(
        torch.cat([p.pred_score for p in predictions]).numpy(),
        torch.cat([p.anomaly_map for p in predictions])[:, 0].numpy(),
        milliseconds,
    )


def mask_paths(index: pd.DataFrame, root: Path) -> list[Path | None]:
    """The mask file of each row of an index; None where it has none."""
    return [root / path if path else None for path in index["mask_path"]]


def measure(index: pd.DataFrame, scored: Scored, root: Path) -> dict[str, Value]:
    """image_auroc, pixel_auroc and aupro (FPR up to 0.3) at input size, by definition; undefined ones say why.

    `index` holds the rows of the scored images, `root` their category's folder.
    """
    values = {"image_auroc": image_auroc(scored.pred_score, index["gt_label"].to_numpy())}
    defective = index["gt_label"] == 1
    if not defective.any() or (index.loc[defective, "mask_path"] == "").any():
        reason = "a defective image without mask" if defective.any() else "no defective image"
        return values | dict.fromkeys(PIXEL_METRICS, undefined(reason))
    masks = read_masks(mask_paths(index, root), image_size=scored.anomaly_maps.shape[1:])
    pixels = pixel_metrics(list(scored.anomaly_maps), masks, image_paths=list(index["image_path"]))
    return values | {name: pixels[name] for name in PIXEL_METRICS}
