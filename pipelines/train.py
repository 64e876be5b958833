"""Train one category's FastFlow on its good images; write models/<category>/ and its MLflow run.

The last epoch is the model: nothing is chosen on test images, which this stage never opens.
Run by DVC as: python -m pipelines.train --category bottle      (bottle: a good minute on two CPU cores)
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fastflow.checkpoint import save_checkpoint
from fastflow.config import FastFlowConfig
from fastflow.crossfit import NormalScores, TiledImages
from fastflow.errors import BadData, NonFiniteLoss
from fastflow.files import file_sha256, require_space
from fastflow.fit import FINAL, Progress, fit
from fastflow.index import read_index, verify_images
from fastflow.model import FastFlow, build_model
from fastflow.operating import operating_point
from fastflow.pixels.meaning import PixelRule
from fastflow.resume import training_key
from fastflow.roi import Roi, share_of
from fastflow.sizes import config_for
from fastflow.tiled import num_samples
from fastflow.tiles import TileSettings
from fastflow.train import Epoch
from fastflow.weights import IMAGENET, PRETRAINED
from pipelines.core import experiment
from pipelines.core.device import choose_device, peak_memory
from pipelines.core.epoch_lines import EpochLine, write_epoch
from pipelines.core.params import PARAMS_FILE, Params, Tiles
from pipelines.core.paths import NORMAL_SCORES, RUN, STATE, index_file, model_folder, report_folder
from pipelines.core.pixel_rule import read_roi, read_rule, read_tiles
from pipelines.core.provenance import DVC_LOCK, data_hash, provenance
from pipelines.core.run import run_category_stage
from pipelines.core.signals import deferred_signals
from pipelines.core.stage import log
from pipelines.data.appearance import Appearance, appearances
from pipelines.tracking import runs
from pipelines.training.resumable import ResumableFit, code_sha256, embed, fit_settings, train_settings
from pipelines.training.system_metrics import log_system_metrics


def train(category: str, params: Params) -> None:
    start = time.perf_counter()
    device = choose_device(params.device)
    index = read_index(index_file(category), split="train")
    root = Path(params.data.root) / category
    paths = [root / path for path in index["image_path"]]
    model = build(params, paths, read_rule(category), read_roi(category), read_tiles(category)).to(device)
    count = num_samples(model, paths, seed=params.seed)
    name = f"{category} {params.model.preset} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    weights = weights_tag(params.model.weights)
    tags = provenance(category) | {"category": category, "seed": str(params.seed)} | weights
    with runs.new_run(name, tags=tags) as run, log_system_metrics(run, device):
        log_source(run, category, params, rows=len(index))
        settings = {"train": train_settings(params, count), "config": model.config.to_dict()}
        chosen = params.model_dump(  # the config has overrides
            include={"seed": True, "model": {"preset", "weights"}, "train": {"augment", "changes"}}, exclude_none=True
        )
        run.log_params(flatten(chosen) | flatten(settings | {"config": logged(model.config)}))
        verify_images(index, root)
        resumable = ResumableFit(STATE / category, key_of(category, params, settings | weights))
        STATE.mkdir(exist_ok=True)
        require_space(STATE, resumable.space(model, params.threshold.folds), f"the state and the model of {category}")
        embedded = embed(model, paths, params, folder=STATE)
        log.info("%s: %d images, features %s", category, len(index), [tuple(f.shape[1:]) for f in embedded.features])
        if model.config.tiles:
            log.info("%s: trained on %d tiles of these images, counted as images below", category, count)
        with deferred_signals() as check, naming_images(index, embedded.tiled):
            hooks = resumable.hooks(on_epoch=partial(log_epoch, run, params.threshold.folds), check=check)
            fitting = fit_settings(params, count) | {"contents": list(index["sha256"]), "hooks": hooks}
            fitted = fit(model, **embedded._asdict(), **fitting)
        log.info("%s: noise by scale while training: %s", category, ", ".join(f"{sd:g}" for sd in fitted.noise))
        if fitted.mirrored:
            log.info("%s: mirror images were trained on at scales %s", category, list(fitted.mirrored))
        run.log_metrics(peak_memory(device))
        threshold = threshold_of(fitted.normal, params, model, category)
        about = {
            "category": category,
            "seed": params.seed,
            "weights": params.model.weights,
            "epochs": len(fitted.epochs),
            "noise": list(fitted.noise),
            "mirrored": list(fitted.mirrored),
            "train_seconds": time.perf_counter() - start,
            "threshold": threshold,
        }
        seen = appearances(paths, model.frame)
        write_outputs(model, category, run, fitted.epochs, about, normal_table(index, fitted.normal, seen))
        resumable.forget()


def threshold_of(normal: NormalScores, params: Params, model: FastFlow, category: str) -> dict[str, Any]:
    """For the rate of false rejects that the parameters name; says what it promises."""
    rate = params.threshold.false_reject_rate
    found = operating_point(normal, false_reject_rate=rate, bounds=model.rule.bounds)
    log.info("%s: threshold %.6g, for %.3g %% of good parts rejected", category, found["image"], 100 * rate)
    log.info("guarantee: %s", found["guarantee"])
    return found


def build(params: Params, paths: list[Path], rule: PixelRule, roi: Roi | None, tiles: Tiles | None) -> FastFlow:
    """The model for the pictures in `paths`, read by `rule`, looked at in `roi`, and cut into `tiles`, with its
    backbone's weights.

    Raises:
        ValueError: names the section of the parameters at fault.
    """
    if params.model.weights in (IMAGENET, PRETRAINED):
        log.info("ImageNet weights for %s: installed, in this machine's cache, or else downloaded", params.model.preset)
    try:
        if "tiles" in params.model.overrides:
            raise ValueError("tiles are not among overrides; they have a section of their own, by category")
        config = config_for(
            paths,
            params.model.preset,
            image_area=params.model.image_area,
            tiles=TileSettings(**tiles.model_dump()) if tiles else None,
            **{"image_size": params.model.image_size, "value_range": rule.value_range, "page": rule.page}
            | ({"roi": roi} if roi else {})
            | params.model.overrides,
        )
        return build_model(config, weights=params.model.weights, seed=params.seed)
    except BadData:
        raise
    except ValueError as error:
        raise ValueError(f"{PARAMS_FILE}, section model: {error}") from error


def key_of(category: str, params: Params, settings: dict[str, Any]) -> str:
    """Hash of all that an interrupted training must have in common with this one to be resumed."""
    kept = params.model_dump(include={"seed": True, "train": True, "threshold": {"folds"}, "model": {"weights"}})
    images = file_sha256(index_file(category))  # each image's hash is in it
    return training_key(images=images, code=code_sha256(), params=kept, settings=settings)


def logged(config: FastFlowConfig) -> dict[str, Any]:
    """What MLflow gets of it: of a region of interest the share, as its runs are longer than a parameter may be."""
    return config.to_dict() | ({"roi": share_of(config.roi)} if config.roi else {})


@contextmanager
def naming_images(index: pd.DataFrame, tiled: TiledImages | None) -> Iterator[None]:
    """Adds the images to the error of a loss that is not finite."""
    try:
        yield
    except NonFiniteLoss as error:
        rows = error.rows if tiled is None else sorted({int(tiled.image[row]) for row in error.rows})
        names = ", ".join(index["image_path"].iloc[rows])
        raise NonFiniteLoss(f"{error}; it came with {names}", rows=error.rows) from error


def weights_tag(weights: str) -> dict[str, str]:
    """The sha256 of a weights file. DVC does not watch that file: after replacing it in place, force the training."""
    return {"weights_sha256": file_sha256(Path(weights))} if Path(weights).is_file() else {}


def log_epoch(run: runs.TrackedRun, folds: int | None, progress: Progress) -> None:
    """Every epoch of the final training goes to the run's curve; a resumed one is not printed again."""
    epoch, epochs, left = progress.epoch, progress.epochs, progress.seconds_left
    if progress.fold == FINAL:
        run.log_metrics({"loss": epoch.loss, "epoch_seconds": epoch.seconds}, step=epoch.epoch)
    if progress.resumed:
        return
    if progress.fold == FINAL:
        log.info("epoch %d/%d  loss %.4f bits/dim  %.0f s left", epoch.epoch, epochs, epoch.loss, left)
        write_epoch(EpochLine(epoch.epoch, epochs, epoch.loss, left))
        return
    times, number = divmod(progress.fold - 1, folds or 1)  # again as the training before has shown to be needed
    name = f"threshold, model {number + 1} of {folds}" + ", regularised" * (times > 0)
    log.info("%s: epoch %d/%d on %d images  %.0f s left", name, epoch.epoch, epochs, progress.images, left)


def normal_table(index: pd.DataFrame, normal: NormalScores, seen: list[Appearance]) -> pd.DataFrame:
    """One row a training image: image_path, sha256, fold, pred_score, and what it looks like."""
    scores = index[["image_path", "sha256"]].assign(fold=normal.fold.numpy(), pred_score=normal.pred_score.numpy())
    return scores.join(pd.DataFrame(seen))


def write_outputs(
    model: FastFlow,
    category: str,
    run: runs.TrackedRun,
    epochs: list[Epoch],
    about: dict[str, object],
    scores: pd.DataFrame,
) -> None:
    """Writes the checkpoint, its training curve and the key of its run; logs them."""
    folder, report = model_folder(category), report_folder(category)
    table = json.dumps(scores.to_dict("list")) + "\n"
    files = {NORMAL_SCORES: table.encode(), RUN: json.dumps({"run_key": run.key, **experiment.tags()}).encode()}
    hashes = save_checkpoint(model, folder, files=files, **about)
    run.set_tags({f"sha256.{file}": digest for file, digest in hashes.items()})
    run.log_metrics({"train_seconds": float(str(about["train_seconds"]))})
    report.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(epochs).to_csv(report / "training.csv", index=False)
    log.info("%s: wrote %s, MLflow run %r", category, folder, run.name)


def log_source(run: runs.TrackedRun, category: str, params: Params, *, rows: int) -> None:
    """What makes the run repeatable: the images by DVC's hash, parameters and lock file as they are."""
    source = (Path(params.data.root) / category).as_posix()
    run.log_dataset(name=category, digest=data_hash(category), source=source, context="training", rows=rows)
    for file in (PARAMS_FILE, DVC_LOCK):
        if file.is_file():
            run.log_files(file, under="source")


def flatten(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested keys joined by dots: {"train": {"epochs": 5}} to {"train.epochs": 5}."""
    pairs: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            pairs |= flatten(value, f"{prefix}{key}.")
        else:
            pairs[prefix + key] = value
    return pairs


if __name__ == "__main__":
    run_category_stage(train, doc=__doc__)
