"""The library in a few lines, for notebooks and other programs.

    from fastflow.api import evaluate, fit, predict

    detector = fit("bottle/train/good")
    found = predict(detector, "bottle/test")
    found.table.sort_values("pred_score")
    evaluate(detector, "bottle")["image_auroc"]
    detector.save("bottle.model")

The same training, score and threshold as the pipeline's, without its resuming, tracking and registry. Whoever wants the
tensors takes `detector.model`, a `fastflow.model.FastFlow`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fastflow.decode import SUFFIXES, image_files
from fastflow.detector import Detector
from fastflow.errors import BadData
from fastflow.evaluation import measure, score_images
from fastflow.export.about import ABOUT
from fastflow.export.runner import open_export
from fastflow.features import extract_features
from fastflow.fit import Hooks
from fastflow.fit import fit as fit_features
from fastflow.index import list_category
from fastflow.metrics.rates import error_rates
from fastflow.model import build_model
from fastflow.noise import AUTO
from fastflow.operating import operating_point
from fastflow.presets import DEFAULT, preset
from fastflow.train import Epoch, epochs_for
from fastflow.trained import TrainedDetector
from fastflow.weights import IMAGENET

Images = str | Path | Sequence[str | Path]
BATCH_SIZE = 16  # of inference: it changes no result
LEARNING: dict[str, Any] = {  # as params.yaml has it
    "batch_size": 8,
    "learning_rate": 0.004,
    "weight_decay": 0.0,
    "noise": AUTO,
    "precision": "auto",
}


class Found(NamedTuple):
    """`table`: a row an image, image_path, pred_score (higher is more anomalous), pred_label (1 above the threshold);
    `anomaly_maps` (N, H, W), float32, of the model's input size, in the same order."""

    table: pd.DataFrame
    anomaly_maps: NDArray[np.float32]


def fit(
    images: Images,
    *,
    backbone: str = DEFAULT,
    weights: str = IMAGENET,
    epochs: int | None = None,
    false_reject_rate: float = 0.01,
    folds: int | None = 2,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[Epoch, int], None] = lambda epoch, fold: None,
    **config: Any,
) -> TrainedDetector:
    """Learns what good parts look like (FastFlow, section 3).

    `images`: good ones alone, a folder or files. `backbone`: a preset (`fastflow.presets`), or with `config` any
    field of `fastflow.config.FastFlowConfig`. `weights`: imagenet, random, or a .safetensors file (`fastflow.weights`).
    `epochs`: None is as many as the pipeline takes. `folds`: models that score the images they have not seen, for a
    threshold at `false_reject_rate` (0..1, of good images); None: the model's own scores, which promise nothing.
    `on_epoch` is called after each epoch with it and 0 for the model, 1 and so on for the fold's that comes after it.
    `device`: for a GPU, call `fastflow.precision.exact_float32()` first; its scores are then those of a CPU.

    Raises:
        ValueError: fewer than 2 images, or settings that do not fit.
        BadImage: a file that cannot be decoded.
    """
    paths = paths_of(images)
    if len(paths) < 2:
        raise ValueError(f"{len(paths)} images are too few to learn from; at least 2 are needed")
    model = build_model(preset(backbone, **config), weights=weights, seed=seed).to(device)
    features = extract_features(model, paths, batch_size=BATCH_SIZE, device=torch.device(device))
    fitted = fit_features(
        model,
        features,
        folds=folds,
        seed=seed,
        inference_batch=BATCH_SIZE,
        hooks=Hooks(on_epoch=lambda progress: on_epoch(progress.epoch, progress.fold)),
        epochs=epochs or epochs_for(len(paths), batch_size=LEARNING["batch_size"]),
        **LEARNING,
    )
    point = operating_point(fitted.normal, false_reject_rate=false_reject_rate, bounds=model.rule.bounds)
    return TrainedDetector(model=model, threshold=point)


def load(folder: str | Path) -> Detector:
    """A checkpoint, or an export, as it was saved.

    Raises:
        BadCheckpoint, BadExport: its files are not those that were written.
    """
    folder = Path(folder)
    return open_export(folder) if (folder / ABOUT).is_file() else TrainedDetector.load(folder)


def predict(detector: Detector, images: Images) -> Found:
    """Scores and maps of photographs, a folder or files.

    Raises:
        BadImage: a file that cannot be decoded.
    """
    paths = paths_of(images)
    found = score_images(detector, paths, batch_size=BATCH_SIZE)
    label = (found.pred_score > detector.threshold["image"]).astype(int)
    table = pd.DataFrame({"image_path": list(map(str, paths)), "pred_score": found.pred_score, "pred_label": label})
    return Found(table, found.anomaly_maps)


def evaluate(detector: Detector, folder: str | Path) -> dict[str, float | None]:
    """Metrics on the test images of a category folder in MVTec AD's layout (Bergmann et al., CVPR 2019), fractions by
    name; None where one is undefined. false_reject_rate and miss_rate are those of the detector's threshold; metrics
    named `_oracle` choose one on these very images.

    `fastflow init` makes such a folder of any other; its train/good is then what to fit on.

    Raises:
        BadData: no such folder, or no test image.
        BadImage: a file that cannot be decoded.
    """
    root = Path(folder)
    index = list_category(root)
    index = index[index["split"] == "test"].reset_index(drop=True)
    if index.empty:
        raise BadData(f"{root} holds no test image; expected {root}/test/good and {root}/test/<defect type>")
    paths = [root / path for path in index["image_path"]]
    scored = score_images(detector, paths, batch_size=BATCH_SIZE)
    metrics = {name: value.value for name, value in measure(index, scored, root).items()}
    return metrics | error_rates(index["gt_label"], scored.pred_score > detector.threshold["image"])


def paths_of(images: Images) -> list[Path]:
    """Image files: those of a folder and below it, by name, or those named. Raises BadData where there is none."""
    if not isinstance(images, str | Path):
        return [Path(image) for image in images]
    folder = Path(images)
    if folder.is_file():
        return [folder]
    found = image_files(folder)
    if not found:
        raise BadData(f"{folder} holds no image; looked for {', '.join(SUFFIXES)} in it and below")
    return found
