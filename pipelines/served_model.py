"""The registered model as an MLflow pyfunc: column `image` in, `pred_score` and `pred_label` out.

`image` holds paths, or the base64 of image files (what `mlflow models serve` receives as JSON).
"""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fastflow.checkpoint import load_checkpoint, read_config
from fastflow.decode import read_image
from fastflow.model import FastFlow

LONGEST_PATH = 255  # a longer name is no file: asking for it would be an error on some systems


class ServedModel:
    """What `mlflow.pyfunc.load_model` answers with, wrapped."""

    def __init__(self, model: FastFlow, *, threshold: float) -> None:
        self.model, self.threshold = model, threshold

    def predict(self, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        """Column `image` (paths or base64) to pred_score, higher is more anomalous, and pred_label, 1 above the
        checkpoint's threshold.

        Raises:
            ValueError: no such column.
            BadImage: an image that cannot be used.
        """
        if "image" not in model_input:
            raise ValueError(f"the input needs a column 'image' (path or base64), got {list(model_input.columns)}")
        scores = [
            self._score(read_image(_source(v), image_size=self.model.config.image_size)) for v in model_input["image"]
        ]
        return pd.DataFrame({"pred_score": scores, "pred_label": [int(s > self.threshold) for s in scores]})

    def _score(self, pixels: NDArray[np.uint8]) -> float:
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        return float(self.model(image).pred_score)


def _source(value: str) -> Path | io.BytesIO:
    """The bytes that base64 stands for if they are longer than any path, else an existing file, else base64."""
    try:
        if len(value) <= LONGEST_PATH and Path(value).is_file():
            return Path(value)
        return io.BytesIO(base64.b64decode(value, validate=True))
    except (OSError, ValueError) as error:  # binascii.Error is a ValueError
        raise ValueError(f"image {value[:60]!r} is neither an existing file nor base64") from error


def _load_pyfunc(path: str) -> ServedModel:
    """MLflow's entry: `path` is the checkpoint folder inside the artifact."""
    folder = Path(path)
    return ServedModel(load_checkpoint(folder), threshold=read_config(folder)["threshold"]["image"])
