"""Features, computed once: the backbone is frozen and there is no augmentation, so an image's never change."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fastflow.data import read_images
from fastflow.model import FastFlow, Prediction


def batches(count: int, batch_size: int) -> Iterator[slice]:
    """Consecutive slices that cover `count` items."""
    return (slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


@torch.no_grad()
def extract_features(model: FastFlow, paths: Sequence[Path], *, batch_size: int, device: torch.device) -> list[Tensor]:
    """Normalised features of all images: one float32 tensor (N, C_s, h_s, w_s) per scale, on `device`.

    Raises:
        BadImage: a file that cannot be decoded.
    """
    store: list[Tensor] = []
    for part in batches(len(paths), batch_size):
        images = read_images(paths[part], image_size=model.config.image_size).to(device)
        features = model.extract(images)
        if not store:
            store = [f.new_empty((len(paths), *f.shape[1:])) for f in features]
        for whole, piece in zip(store, features, strict=True):
            whole[part] = piece
    return store


@torch.no_grad()
def predict(model: FastFlow, paths: Sequence[Path], *, batch_size: int, device: torch.device) -> Iterator[Prediction]:
    """Predictions for the images, one per batch, in order, on the CPU.

    Raises:
        BadImage: a file that cannot be decoded.
    """
    for part in batches(len(paths), batch_size):
        images = read_images(paths[part], image_size=model.config.image_size).to(device)
        anomaly_map, pred_score = model(images)
        yield Prediction(anomaly_map.cpu(), pred_score.cpu())
