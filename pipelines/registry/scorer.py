"""Whatever a person names as a model, ready to score: an export, a checkpoint, a registered version."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastflow.export.about import ABOUT
from fastflow.export.runner import Images, Run, Scores, Sizes, open_export
from fastflow.frame import Frame
from fastflow.sealed import CONFIG, read_config
from pipelines.core.names import unknown
from pipelines.core.paths import model_folder
from pipelines.core.running import training_now


class Scorer(NamedTuple):
    """`run` takes uint8 images (B, 3, H, W) of `frame`, and the pictures' sizes (B, 2) in them; scores above
    `threshold` are anomalous.

    `low` and `pixel_threshold`: where colours of the heat map begin, and where a pixel is anomalous.
    """

    run: Run
    category: str
    version: str
    frame: Frame
    threshold: float
    low: float
    pixel_threshold: float


def open_scorer(source: str, *, threads: int | None = None) -> Scorer:
    """`source`: an export's folder, or what `pipelines.registry.checkpoints.checkpoint_of` takes.

    Raises:
        BadExport, BadCheckpoint, Untrusted: its files are not those that were written.
        ValueError: no such model.
        ServerAway: the registry does not answer.
    """
    if (Path(source) / ABOUT).is_file():
        export = open_export(Path(source), threads=threads)
        about = export.about
        version = f"{about['model']} {about['format']}-{about['precision']}"
        return _scorer(export.run, about["category"], version, export.frame, about["threshold"])
    from pipelines.registry.checkpoints import (
        checkpoint_of,  # imports MLflow, which takes seconds: an export does without
    )

    with checkpoint_of(source) as named:
        return of_checkpoint(named.folder, named.category, named.version)


def folder_of(source: str) -> Path:
    """Where the checkpoint of a category, or of a folder by its path, should be.

    Raises:
        ValueError: neither is there.
    """
    here = Path(source)
    if len(here.parts) != 1 or (here / CONFIG).is_file():
        return here
    folder = model_folder(source)
    if not folder.is_dir():
        trained = [path.parent.name for path in folder.parent.glob(f"*/{CONFIG}")]
        place = folder.parent.resolve()
        now = training_now(source) or "; train it, or name its folder"
        raise ValueError(f"{unknown(source, trained, what='model', where=str(place))}{now}")
    return folder


def of_checkpoint(folder: Path, category: str, version: str) -> Scorer:
    """By the checkpoint itself. PyTorch, too, is imported only where it is needed."""
    import torch

    from fastflow.checkpoint import load_checkpoint

    model = load_checkpoint(folder)
    threshold = read_config(folder)["threshold"]

    def run(images: Images, sizes: Sizes | None = None) -> Scores:
        with torch.inference_mode():
            found = model(
                torch.from_numpy(np.ascontiguousarray(images)), None if sizes is None else torch.from_numpy(sizes)
            )
        score = found.pred_score.numpy()
        return Scores(score, (score > threshold["image"]).astype(np.int64), found.anomaly_map.numpy())

    return _scorer(run, category, version, model.frame, threshold)


def _scorer(run: Run, category: str, version: str, frame: Frame, threshold: dict[str, float]) -> Scorer:
    return Scorer(run, category, version, frame, threshold["image"], threshold["low"], threshold["pixel"])
