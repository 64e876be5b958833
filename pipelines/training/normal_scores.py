"""The scores of good images that a model's threshold comes from, as training left them beside the weights."""

import numpy as np
from numpy.typing import NDArray

from pipelines.core.paths import model_folder
from pipelines.core.training_files import normal_table


def normal_scores(category: str) -> NDArray[np.float64]:
    """Scores (N,) of the good training images that the category's threshold comes from. Raises BadCheckpoint."""
    return np.asarray(normal_table(model_folder(category))["pred_score"], np.float64)
