"""Scores of the labelled test images by the present model: as an evaluation wrote them, or computed again."""

from pathlib import Path

import numpy as np
import pandas as pd

from fastflow.errors import BadData
from fastflow.evaluation import score_images
from fastflow.index import read_index, verify_images
from fastflow.sealed import read_config, weights_id
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.metrics_file import CURE
from pipelines.core.params import read_params
from pipelines.core.paths import index_file, model_folder, report_folder
from pipelines.core.stage import log
from pipelines.reporting.tables import score_table

COLUMNS = {"gt_label": int, "pred_score": float}


def labelled_scores(category: str, *, needed: bool) -> pd.DataFrame:
    """gt_label and pred_score, a row an image. An evaluation's scores are used if they are of this model, by its hash,
    and of the images and labels of the present index. Otherwise: no rows, or where they are `needed`, scored now.

    Raises:
        BadData: a score that is no number, or images that are not those of the index.
    """
    path, index = report_folder(category) / "scores.csv", index_file(category)
    images = read_index(index, split="test") if index.is_file() else None
    if path.is_file():
        scores = _read(path)
        if _belongs_to(scores, weights_id(read_config(model_folder(category))), images):
            return scores[list(COLUMNS)]
        log.info("%s is of another model, or of other images", path)
    if not needed or images is None:
        return pd.DataFrame(columns=list(COLUMNS), dtype=float)
    return _score_now(category, images)


def _read(path: Path) -> pd.DataFrame:
    try:
        scores = pd.read_csv(path, dtype={"model": str, "sha256": str})
        numbers = scores[list(COLUMNS)].to_numpy(np.float64)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadData(f"{path} is damaged ({error}); {CURE}") from error
    if not np.isfinite(numbers).all() or not scores["gt_label"].isin([0, 1]).all():
        raise BadData(f"{path} holds a score that is no number, or a label that is neither 0 nor 1; {CURE}")
    return scores


def _belongs_to(scores: pd.DataFrame, model: str, images: pd.DataFrame | None) -> bool:
    if not {"model", "sha256"} <= set(scores.columns) or not (scores["model"] == model).all():
        return False
    known = ["sha256", "gt_label"]
    return images is None or scores[known].to_numpy().tolist() == images[known].to_numpy().tolist()


def _score_now(category: str, images: pd.DataFrame) -> pd.DataFrame:
    params = read_params()
    root = Path(params.data.root) / category
    verify_images(images, root)
    log.info("scoring %d labelled test images with %s", len(images), model_folder(category))
    detector = TrainedDetector.load(model_folder(category)).to(choose_device(params.device))
    paths = [root / path for path in images["image_path"]]
    found = score_images(detector, paths, batch_size=params.evaluate.batch_size).pred_score
    return score_table(images, found, threshold=detector.threshold["image"])[list(COLUMNS)]
