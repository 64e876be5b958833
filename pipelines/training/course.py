"""A category's training that may be interrupted at any moment and goes on with the same command.

Its state lies in .state/<category>/, a folder for the model and one for each fold's, until the checkpoint is written.
"""

import copy
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import fastflow
from fastflow.augment import Augmented, augmented_features
from fastflow.crossfit import NormalScores, held_out_scores, score_normal
from fastflow.data import read_images
from fastflow.features import Room, extract_features
from fastflow.files import file_sha256
from fastflow.model import FastFlow
from fastflow.resume import KEPT, Saved
from fastflow.train import Epoch, Training, calibrate, epochs_for
from pipelines.core.params import Params
from pipelines.core.stage import log

SAVE_SECONDS = 30.0  # between two states
_COPIES = 3  # a state holds weights and Adam's two moments
OnEpoch = Callable[[Epoch, int, bool], None]  # of how many, and whether an earlier call has done it


def train_settings(params: Params, num_images: int) -> dict[str, Any]:
    """What `Training` takes: the epochs as written, or, where none are, enough of them for `min_steps` batches."""
    settings = params.train.model_dump(exclude={"min_steps", "augment", "features", "features_gib"})
    enough = epochs_for(num_images, batch_size=params.train.batch_size, min_steps=params.train.min_steps)
    return settings | {"epochs": params.train.epochs or enough}


def code_sha256() -> str:
    """The hash of the library's files, the fused operators' included: another code is another training."""
    folder = Path(*fastflow.__path__)
    return " ".join(file_sha256(path)[:16] for path in sorted([*folder.glob("*.py"), *folder.glob("fused/*.py")]))


class Course:
    """Trains the model, then those of the folds; each goes on from its last state, if that has the same `key`."""

    features: list[Tensor]

    def __init__(self, params: Params, folder: Path, key: str) -> None:
        self.params, self.folder, self.key = params, folder, key
        self.augmented: Augmented | None = None

    def space(self, model: FastFlow) -> int:
        """Bytes that states and checkpoint need on the disk, features aside."""
        flows = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        trainings = 1 + (self.params.threshold.folds or 0)
        return flows * _COPIES * (KEPT + 1) * trainings + sum(p.numel() * 4 for p in model.parameters())

    def embed(self, model: FastFlow, images: list[Path]) -> None:
        """Decodes and embeds once, within the memory that the parameters allow."""
        train, size = self.params.train, self.params.evaluate.batch_size
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[train.features]
        room = Room(dtype, memory_bytes=int(train.features_gib * 2**30), folder=self.folder.parent)
        self.features = extract_features(model, images, batch_size=size, device=model.mean.device, room=room)
        if train.augment:
            decoded = read_images(images, image_size=model.config.image_size)
            self.augmented = augmented_features(model, decoded, train.augment, batch_size=size)

    def train(
        self, model: FastFlow, *, on_epoch: OnEpoch, check: Callable[[], None]
    ) -> tuple[list[Epoch], NormalScores]:
        """Fits the model in place; returns its epochs, and scores of the training images: by models of the folds,
        which have not seen them, or the model's own where there are no folds.

        `check` is called between two steps, and raises where the process was asked to stop; the state is saved then.
        """
        self._check = check
        fresh = copy.deepcopy(model, {id(model.backbone): model.backbone})
        everything = torch.arange(len(self.features[0]))
        epochs = self._fit(model, everything, "model", on_epoch)
        folds, size = self.params.threshold.folds, self.params.evaluate.batch_size
        if folds is None:
            return epochs, score_normal(model, self.features, batch_size=size)

        count = itertools.count(1)

        def fit_fold(part: FastFlow, rows: Tensor) -> None:
            number = next(count)
            name = f"threshold, model {number} of {folds}"

            def tell(epoch: Epoch, epochs: int, known: bool) -> None:
                if known:
                    return
                left = (epochs - epoch.epoch + epochs * (folds - number)) * epoch.seconds
                log.info("%s: epoch %d/%d on %d images  %.0f s left", name, epoch.epoch, epochs, len(rows), left)

            self._fit(part, rows, f"without-{'-'.join(map(str, self._left_out(rows)[:3]))}", tell)

        seed = self.params.seed
        return epochs, held_out_scores(fresh, self.features, folds=folds, seed=seed, batch_size=size, fit=fit_fold)

    def _left_out(self, rows: Tensor) -> list[int]:
        return sorted(set(range(len(self.features[0]))) - set(rows.tolist()))

    def _fit(self, model: FastFlow, rows: Tensor, name: str, on_epoch: OnEpoch) -> list[Epoch]:
        """One training, from its last state on, and its calibration; tells also of epochs that were done before."""
        settings = train_settings(self.params, len(self.features[0]))
        training = Training(model, rows, seed=self.params.seed, **settings)
        saved = Saved(self.folder / name, self.key)
        if state := saved.load():
            training.restore(state)
            log.info("going on after step %d of %d", training.step, training.steps * training.epochs)
            for epoch in training.done:
                on_epoch(epoch, training.epochs, True)
        last = time.monotonic()

        def keep() -> None:
            saved.save(training.state(), step=training.step)

        def on_step() -> None:
            nonlocal last
            try:
                self._check()
            except BaseException:
                keep()
                raise
            if time.monotonic() - last > SAVE_SECONDS:
                keep()
                last = time.monotonic()

        for epoch in training.run(self.features, augmented=self.augmented, on_step=on_step):
            on_epoch(epoch, training.epochs, False)
        keep()
        calibrate(model, self.features, batch_size=self.params.train.batch_size, rows=rows)
        return training.done

    def forget(self) -> None:
        """The checkpoint is written: nothing is to be resumed."""
        Saved(self.folder, self.key).forget()
