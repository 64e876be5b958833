"""The scores of good images that a model's threshold comes from, as training left them beside the weights."""

import json

import numpy as np
from numpy.typing import NDArray

from fastflow.sealed import read_sealed
from pipelines.core.paths import NORMAL_SCORES, model_folder


def normal_scores(category: str) -> NDArray[np.float64]:
    """Scores (N,) of the good training images that the category's threshold comes from. Raises BadCheckpoint."""
    table = json.loads(read_sealed(model_folder(category), NORMAL_SCORES))
    return np.asarray(table["pred_score"], np.float64)
