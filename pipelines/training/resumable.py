"""A category's training that may be interrupted at any moment, and that the same command resumes.

Its state lies in .state/<category>/, a folder for the final training and one for each fold's, until the checkpoint is
written.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import fastflow
from fastflow.augment import Augmented, augmented_features, drawn_variants
from fastflow.crossfit import TiledImages
from fastflow.data import read_pictures
from fastflow.features import FeatureStorage, extract_features
from fastflow.files import file_sha256
from fastflow.fit import FINAL, Hooks, Progress
from fastflow.mirror import Mirrored, mirrored_features
from fastflow.model import FastFlow
from fastflow.noise import AUTO
from fastflow.resume import STATES_KEPT, SavedStates
from fastflow.tiled import training_samples
from fastflow.train import Training, epochs_for
from pipelines.core.params import PARAMS_FILE, Params
from pipelines.core.stage import log

SAVE_SECONDS = 30.0  # between two states
_COPIES_PER_STATE = 3  # a state holds weights and Adam's two moments


def train_settings(params: Params, num_images: int) -> dict[str, Any]:
    """The arguments of `Training`: the epochs as written, or, where none are, enough for `min_steps` batches."""
    settings = params.train.model_dump(exclude={"min_steps", "augment", "changes", "features", "features_gib"})
    enough = epochs_for(num_images, batch_size=params.train.batch_size, min_steps=params.train.min_steps)
    return settings | {"epochs": params.train.epochs or enough}


def fit_settings(params: Params, num_images: int) -> dict[str, Any]:
    """The arguments of `fastflow.fit.fit` beside model, features and hooks."""
    return train_settings(params, num_images) | {
        "seed": params.seed,
        "folds": params.threshold.folds,
        "inference_batch": params.evaluate.batch_size,
        "min_steps": 0 if params.train.epochs else params.train.min_steps,
    }


def code_sha256() -> str:
    """The hash of the library's files, also of those that read pixels and of the fused operators: other code is another
    training."""
    folder, rooms = Path(*fastflow.__path__), ("*.py", "fused/*.py", "pixels/*.py")
    return " ".join(file_sha256(path)[:16] for path in sorted(path for room in rooms for path in folder.glob(room)))


class Embedded(NamedTuple):
    """Features of the images, or of tiles of them, computed once, and of which images these are; what computes those of
    images augmented as the parameters say, None where they say nothing; and what computes those of mirror images,
    should the training ask, where they leave it to that."""

    features: list[Tensor]
    tiled: TiledImages | None
    augmented: Augmented | None
    mirrored: Mirrored | None


def embed(model: FastFlow, images: list[Path], params: Params, *, folder: Path) -> Embedded:
    """What a fit reads. Features lie within the memory that the parameters allow, the rest in a file in `folder`.

    Raises:
        ValueError: changes together with flips or turns, or that the images are too small for.
    """
    train, size = params.train, params.evaluate.batch_size
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[train.features]
    storage = FeatureStorage(dtype, memory_bytes=int(train.features_gib * 2**30), folder=folder)
    if model.config.tiles and train.augment and train.augment != AUTO:
        raise ValueError(f"train.augment is {train.augment}, and tiles are not augmented; allowed with them: auto, []")
    if limits := train.changes.model_dump(exclude_none=True):
        return embed_changed(model, images, params, limits, storage)
    features, tiled = training_samples(model, images, seed=params.seed, batch_size=size, storage=storage)
    if not train.augment or tiled:
        return Embedded(features, tiled, None, None)
    if train.augment == AUTO:
        return Embedded(features, None, None, mirrored_features(model, images, batch_size=size))
    pictures = read_pictures(images, model.frame)
    return Embedded(features, None, augmented_features(model, pictures, train.augment, batch_size=size), None)


def embed_changed(
    model: FastFlow, images: list[Path], params: Params, limits: dict[str, float], storage: FeatureStorage
) -> Embedded:
    """`embed` where changed copies of the images are trained on, too; all share the memory."""
    from pipelines.training.changed import COPIES, changed_features  # torchvision's transforms take a second to import

    if model.config.tiles:
        raise ValueError(f"{PARAMS_FILE}, section train: changes are not made of tiles; leave out one of them")
    if params.train.augment not in (AUTO, []):
        given = f"changes ({', '.join(limits)}) and augment ({', '.join(params.train.augment)})"
        raise ValueError(
            f"{PARAMS_FILE}, section train: {given} are both given; allowed: one of them, or augment: auto, which then "
            "tries no flips"
        )
    if storage.memory_bytes is not None:
        storage = storage._replace(memory_bytes=storage.memory_bytes // (1 + COPIES))
    size, device = params.evaluate.batch_size, model.mean.device
    features = extract_features(model, images, batch_size=size, device=device, storage=storage)
    copies = changed_features(model, images, limits, seed=params.seed, batch_size=size, storage=storage)
    return Embedded(features, None, drawn_variants(features, copies, device=device), None)


class ResumableFit:
    """Saves and restores the trainings of a fit: each resumes from its last state, if that has the same `key`."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.saved = 0.0  # time of the last save, monotonic clock

    def space(self, model: FastFlow, folds: int | None) -> int:
        """Bytes that states and checkpoint need on the disk, features aside."""
        flows = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        trainings = 1 + 3 * (folds or 0)  # folds may be trained three times: fastflow/fit.py
        return flows * _COPIES_PER_STATE * (STATES_KEPT + 1) * trainings + sum(
            p.numel() * 4 for p in model.parameters()
        )

    def hooks(self, *, on_epoch: Callable[[Progress], None], check: Callable[[], None]) -> Hooks:
        """`check` is called between two steps, and raises where the process was asked to stop; the state is saved
        then."""

        def on_step(fold: int, training: Training) -> None:
            try:
                check()
            except BaseException:
                self._save(fold, training)
                raise
            if time.monotonic() - self.saved > SAVE_SECONDS:
                self._save(fold, training)

        return Hooks(on_start=self._restore, on_step=on_step, on_end=self._save, on_epoch=on_epoch)

    def _restore(self, fold: int, training: Training) -> None:
        saved = self._states(fold)
        if state := saved.load():
            training.restore(state)
            log.info("resuming after step %d of %d", training.step, training.steps * training.epochs)
        self.saved = time.monotonic()

    def _save(self, fold: int, training: Training) -> None:
        self._states(fold).save(training.state(), step=training.step)
        self.saved = time.monotonic()

    def _states(self, fold: int) -> SavedStates:
        return SavedStates(self.folder / ("model" if fold == FINAL else f"fold-{fold}"), self.key)

    def forget(self) -> None:
        """Deletes the states: the checkpoint is written, nothing is to be resumed."""
        SavedStates(self.folder, self.key).forget()
