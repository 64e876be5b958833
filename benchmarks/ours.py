"""Our side of `benchmarks.train`: a step, and epochs with their validation."""

import time
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers import Epochs, Step
from fastflow.config import FastFlowConfig
from fastflow.data import read_masks
from fastflow.evaluation import image_metrics, mask_paths, pixel_values
from fastflow.features import batches, extract_features
from fastflow.index import list_category
from fastflow.model import FastFlow, build_model
from fastflow.presets import preset
from fastflow.step import OptimizerStep, adam
from fastflow.train import Training

PRESETS = {"deit": "deit_reproduction", "cait": "cait_reproduction"}
CPU = torch.device("cpu")


def config_of(backbone: str) -> FastFlowConfig:
    """Our preset with the flow that anomalib builds."""
    return preset(PRESETS.get(backbone, backbone), conv3x3_only=False)


def features_of(model: FastFlow, images: Tensor, *, at_once: int) -> list[Tensor]:
    """Features of images (N, 3, H, W), uint8, extracted `at_once` at a time, where model and images are."""
    parts = (model.extract(images[part]) for part in batches(len(images), at_once))
    return [torch.cat(scale) for scale in zip(*parts, strict=True)]


@torch.no_grad()
def useful_flop(model: FastFlow, features: list[Tensor]) -> float:
    """FLOP of the flow's useful work in a step on these features: three forward passes."""
    with FlopCounterMode(display=False) as work:
        model.latents([f[:1] for f in features])
    return float(3 * len(features[0]) * work.get_total_flops())


def our_step(model: FastFlow, features: list[Tensor], *, precision: str, plain: bool) -> Step:
    """One optimiser step on features extracted before: fused, or by the readable definition of the flow."""
    model.fused = not plain
    optimizer = adam(model, learning_rate=0.001, weight_decay=0.00001)
    step = OptimizerStep(model, optimizer, precision=precision, micro_batch=None, graphs=not plain)
    return lambda: step(features)


def fit_ours(backbone: str, folder: Path, *, batch_size: int, epochs: int, precision: str) -> Epochs:
    """Our training with a validation after each epoch: image and pixel metrics of all test images."""
    begin = time.perf_counter()
    model = build_model(config_of(backbone), weights="random", seed=0)
    index = list_category(folder)
    train, test = (index[index["split"] == split].reset_index(drop=True) for split in ("train", "test"))
    paths = [[folder / p for p in part["image_path"]] for part in (train, test)]
    features, test_features = (extract_features(model, p, batch_size=8, device=CPU) for p in paths)
    masks = read_masks(mask_paths(test, folder), sizes=[model.config.image_size] * len(test))
    setup = time.perf_counter() - begin

    @torch.no_grad()
    def validate() -> None:
        made = [model.score([f[part] for f in test_features]) for part in batches(len(test), 8)]
        scores, maps = torch.cat([p.pred_score for p in made]), torch.cat([p.anomaly_map for p in made])
        _ = image_metrics(test, scores.numpy()) | pixel_values(test, list(maps[:, 0].numpy()), masks)

    whole, training = [], []
    settings = {"batch_size": batch_size, "learning_rate": 0.001, "weight_decay": 0.00001, "precision": precision}
    run = Training(model, torch.arange(len(train)), epochs=epochs, seed=0, **settings)  # type: ignore[arg-type]
    for epoch in run.run(features):
        start = time.perf_counter()
        validate()
        training.append(epoch.seconds)
        whole.append(epoch.seconds + time.perf_counter() - start)
    return Epochs(whole, training, setup)
