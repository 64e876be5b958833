"""Train one category's FastFlow on its good images; write models/<category>/ and its MLflow run.

The last epoch is the model: nothing is chosen on test images, which this stage never opens.
Run by DVC as: python -m pipelines.train --category bottle      (bottle: a good minute on two CPU cores)
"""

import copy
import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from fastflow.augment import Augmented, augmented_features
from fastflow.checkpoint import save_checkpoint
from fastflow.crossfit import NormalScores, held_out_scores, score_normal
from fastflow.data import read_images
from fastflow.features import Room, extract_features
from fastflow.files import file_sha256
from fastflow.index import read_index
from fastflow.model import FastFlow, build_model
from fastflow.operating import operating_point
from fastflow.presets import preset
from fastflow.train import Epoch, calibrate, train_epochs
from pipelines import tracking
from pipelines.device import choose_device, peak_memory
from pipelines.params import PARAMS_FILE, Params
from pipelines.paths import NORMAL_SCORES, index_file, model_folder, report_folder
from pipelines.provenance import DVC_LOCK, data_hash, provenance
from pipelines.stage import log, run_category_stage

LEAST_EPOCHS = 2
SCRATCH = Path(".state")  # not an output of any stage


def train(category: str, params: Params) -> None:
    start = time.perf_counter()
    device = choose_device(params.device)
    index = read_index(index_file(category), split="train")
    config = preset(params.model.preset, **params.model.overrides)
    model = build_model(config, weights=params.model.weights, seed=params.seed).to(device)
    name = f"{category} {params.model.preset} {time.strftime('%Y-%m-%d %H:%M')}"
    tags = provenance(category) | {"category": category, "seed": str(params.seed)} | weights_tag(params.model.weights)
    with tracking.new_run(name, tags=tags) as run:
        log_source(run, category, params, rows=len(index))
        settings = {"train": train_settings(params, len(index)), "config": model.config.to_dict()}
        run.log_params(flat(params.model_dump(include={"seed", "model"}) | settings))
        images = [Path(params.data.root) / category / path for path in index["image_path"]]
        data = embed(model, images, params)
        log.info("%s: %d images, features %s", category, len(images), [tuple(f.shape[1:]) for f in data.features])
        fresh = copy.deepcopy(model, {id(model.backbone): model.backbone})
        epochs = fit(model, data, params, on_epoch=partial(tell_epoch, run))
        normal = normal_scores(model, fresh, data, params)
        run.log_metrics(peak_memory(device))
        rate = params.threshold.false_reject_rate
        threshold = operating_point(normal, false_reject_rate=rate, bounds=model.rule.bounds)
        about = {
            "category": category,
            "seed": params.seed,
            "weights": params.model.weights,
            "epochs": len(epochs),
            "train_seconds": time.perf_counter() - start,
            "threshold": threshold,
        }
        finish(model, category, run, epochs, about, score_table(index, normal))


def weights_tag(weights: str) -> dict[str, str]:
    """The sha256 of a weights file. DVC does not watch that file: after replacing it in place, force the training."""
    return {"weights_sha256": file_sha256(Path(weights))} if Path(weights).is_file() else {}


class TrainingData(NamedTuple):
    """Features of the training images, and where augmentation is chosen, what gives those of augmented ones."""

    features: list[Tensor]
    augmented: Augmented | None


def embed(model: FastFlow, images: list[Path], params: Params) -> TrainingData:
    """Decodes and embeds once, within the memory that the parameters allow."""
    size, kinds = params.evaluate.batch_size, params.train.augment
    SCRATCH.mkdir(exist_ok=True)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[params.train.features]
    room = Room(dtype, memory_bytes=int(params.train.features_gib * 2**30), folder=SCRATCH)
    features = extract_features(model, images, batch_size=size, device=model.mean.device, room=room)
    if not kinds:
        return TrainingData(features, None)
    decoded = read_images(images, image_size=model.config.image_size)
    return TrainingData(features, augmented_features(model, decoded, kinds, batch_size=size))


def train_settings(params: Params, num_images: int) -> dict[str, Any]:
    """What `train_epochs` takes: the epochs as written, or, where none are, enough of them for `min_steps` batches."""
    settings = params.train.model_dump(exclude={"min_steps", "augment", "features", "features_gib"})
    steps = math.ceil(num_images / params.train.batch_size)
    return settings | {"epochs": params.train.epochs or max(LEAST_EPOCHS, math.ceil(params.train.min_steps / steps))}


def fit(
    model: FastFlow,
    data: TrainingData,
    params: Params,
    *,
    on_epoch: Callable[[Epoch, int], None],
    rows: Tensor | None = None,
) -> list[Epoch]:
    """Trains and calibrates, on all images or `rows`; `on_epoch` is told each epoch and how many there will be."""
    done = []
    settings = train_settings(params, len(data.features[0]))
    for epoch in train_epochs(model, data.features, augmented=data.augmented, seed=params.seed, rows=rows, **settings):
        done.append(epoch)
        on_epoch(epoch, settings["epochs"])
    calibrate(model, data.features, batch_size=params.train.batch_size, rows=rows)
    return done


def tell_epoch(run: tracking.TrackedRun, epoch: Epoch, epochs: int) -> None:
    run.log_metrics({"loss": epoch.loss, "epoch_seconds": epoch.seconds}, step=epoch.epoch)
    left = (epochs - epoch.epoch) * epoch.seconds
    log.info("epoch %d/%d  loss %.4f bits/dim  %.0f s left", epoch.epoch, epochs, epoch.loss, left)


def normal_scores(model: FastFlow, fresh: FastFlow, data: TrainingData, params: Params) -> NormalScores:
    """Scores of the training images: cross-fitted from `fresh`, or the trained model's own where there are no folds."""
    folds, size = params.threshold.folds, params.evaluate.batch_size
    if folds is None:
        return score_normal(model, data.features, batch_size=size)

    def fit_fold(part: FastFlow, rows: Tensor) -> None:
        def tell(epoch: Epoch, epochs: int) -> None:
            log.info("threshold: epoch %d/%d on %d images", epoch.epoch, epochs, len(rows))

        fit(part, data, params, on_epoch=tell, rows=rows)

    return held_out_scores(fresh, data.features, folds=folds, seed=params.seed, batch_size=size, fit=fit_fold)


def score_table(index: pd.DataFrame, normal: NormalScores) -> pd.DataFrame:
    """One row a training image: image_path, fold, pred_score."""
    return index[["image_path"]].assign(fold=normal.fold.numpy(), pred_score=normal.pred_score.numpy())


def finish(
    model: FastFlow,
    category: str,
    run: tracking.TrackedRun,
    epochs: list[Epoch],
    about: dict[str, object],
    scores: pd.DataFrame,
) -> None:
    """Writes the checkpoint, its training curve and the key of its run; logs them."""
    folder, report = model_folder(category), report_folder(category)
    hashes = save_checkpoint(model, folder, **about)
    (folder / NORMAL_SCORES).write_text(json.dumps(scores.to_dict("list")) + "\n")
    run.set_tags({f"sha256.{file}": digest for file, digest in hashes.items()})
    run.log_metrics({"train_seconds": float(str(about["train_seconds"]))})
    report.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(epochs).to_csv(report / "training.csv", index=False)
    (folder / "run.json").write_text(json.dumps({"run_key": run.key}, indent=2) + "\n")
    log.info("%s: wrote %s, MLflow run %r", category, folder, run.name)


def log_source(run: tracking.TrackedRun, category: str, params: Params, *, rows: int) -> None:
    """What makes the run repeatable: the images by DVC's hash, parameters and lock file as they are."""
    source = (Path(params.data.root) / category).as_posix()
    run.log_dataset(name=category, digest=data_hash(category), source=source, context="training", rows=rows)
    for file in (PARAMS_FILE, DVC_LOCK):
        if file.is_file():
            run.log_files(file, under="source")


def flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested keys joined by dots: {"train": {"epochs": 5}} to {"train.epochs": 5}."""
    pairs: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            pairs |= flat(value, f"{prefix}{key}.")
        else:
            pairs[prefix + key] = value
    return pairs


if __name__ == "__main__":
    sys.exit(run_category_stage(train, doc=__doc__))
