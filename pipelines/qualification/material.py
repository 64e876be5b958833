"""What a trial is made of: unseen good pictures, steps of size, and what a model says of the pictures as they are."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastflow.errors import BadData
from fastflow.evaluation import score_images
from fastflow.frame import picture_shape
from fastflow.index import read_index, verify_images
from fastflow.pixels.meaning import PixelRule
from fastflow.trained import TrainedDetector
from pipelines.core.params import Params
from pipelines.core.paths import index_file

LEAST_IMAGES = 10
NUM_STEPS, PER_STEP = 12, 8
SMALLEST, LARGEST = 0.01, 0.32  # of the pictures' shorter side
LEAST_PIXELS = 2.0


class Options(NamedTuple):
    """What a person may choose. Sizes in pixels of the photograph, None: `SMALLEST` and `LARGEST`."""

    mm_per_pixel: float | None = None
    smallest: float | None = None
    largest: float | None = None
    per_step: int = PER_STEP
    anywhere: bool = False


def unseen_good(category: str, params: Params, *, what: str = "a certificate") -> pd.DataFrame:
    """Rows of the good test pictures. Raises BadData: too few for `what`, or not those that were checked."""
    index = read_index(index_file(category), split="test")
    found = index[index["gt_label"] == 0].reset_index(drop=True)
    if len(found) < LEAST_IMAGES:
        raise BadData(
            f"{category} has {len(found)} good pictures that the model has not seen (test/good); {what} needs "
            f"{LEAST_IMAGES} at least, and 60 make it firm: photograph more good parts, and add them (fastflow init)"
        )
    verify_images(found, Path(params.data.root) / category)
    return found


def images_sha256(images: pd.DataFrame) -> str:
    """Over the hashes of the pictures, in their order."""
    return hashlib.sha256("\n".join(images["sha256"]).encode()).hexdigest()


def sizes_for(paths: Sequence[Path], rule: PixelRule, chosen: Options) -> list[float]:
    """The steps of size, pixels, three digits each. Raises ValueError."""
    shorter = min(min(picture_shape(path, rule)) for path in paths)
    low = max(LEAST_PIXELS, SMALLEST * shorter) if chosen.smallest is None else chosen.smallest
    high = LARGEST * shorter if chosen.largest is None else chosen.largest
    if not 1 <= low < high / 1.5 or high > shorter:
        raise ValueError(
            f"defects from {low:g} to {high:g} pixels; allowed: 1 or more, the largest at least 1.5 times the "
            f"smallest, and at most {shorter}, the shorter side of the smallest picture; see --smallest and --largest"
        )
    return [float(f"{size:.3g}") for size in np.geomspace(low, high, NUM_STEPS)]


def good_labels(category: str, detector: TrainedDetector, paths: Sequence[Path], *, batch_size: int) -> list[int]:
    """1 for each good picture that is rejected. Raises BadData where a certificate would say nothing."""
    scores = score_images(detector, paths, batch_size=batch_size).pred_score
    if len(np.unique(scores)) == 1:
        raise BadData(
            f"{category}: every good picture gets the same score, {scores[0]:g}, so the model tells nothing apart; see "
            "that the pictures differ (fastflow validate), and train it again"
        )
    labels = [int(not score <= detector.threshold["image"]) for score in scores]
    if len(labels) - sum(labels) < LEAST_IMAGES:
        raise BadData(
            f"{category}: the model rejects {sum(labels)} of {len(labels)} unseen good pictures, and {LEAST_IMAGES} "
            "that it accepts are needed to draw on; take another threshold (fastflow threshold), or train on more"
        )
    return labels
