"""The registered model as an MLflow pyfunc: images in, `pred_score` and `pred_label` out.

An image is a path, the bytes of an image file, their base64 (what `mlflow models serve` receives as JSON; it takes no
paths), or pixels, uint8 (H, W, 3). Several come as a list or as column `image` of a frame; arrays always in a frame.
"""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import NamedBytes
from fastflow.detector import Detector, require_finite_scores
from fastflow.frame import Framed, read_framed
from fastflow.trained import TrainedDetector

IN_SERVER = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow sets it to "true" in a scoring server
MAX_PATH_CHARACTERS = 255  # a longer text is no file name: a look-up would fail on some systems


class ServedModel:
    """The model inside what `mlflow.pyfunc.load_model` returns."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(self, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        """Column `image` to pred_score, higher is more anomalous, and pred_label, 1 above the checkpoint's threshold.

        Raises:
            ValueError: no such column, or a value that is no image.
            BadImage: an image that cannot be used. NotFinite: a score that is no number.
        """
        column = "image" if "image" in model_input else 0  # MLflow names the column of a plain list 0
        if column not in model_input:
            raise ValueError(f"the input needs a column 'image' (path or base64), got {list(model_input.columns)}")
        found = [self._score(read_framed(_source(value), self.detector.frame)) for value in model_input[column]]
        return pd.DataFrame(found, columns=["pred_score", "pred_label"])

    def _score(self, framed: Framed) -> tuple[float, int]:
        scores = self.detector.predict(framed.pixels.transpose(2, 0, 1)[None], np.array([framed.size]))
        require_finite_scores(["image"], scores.pred_score)
        return float(scores.pred_score[0]), int(scores.pred_label[0])


def _source(value: object) -> Path | io.BytesIO:
    """The image file: a path, or a stream of its bytes, given as such or in base64."""
    match value:
        case bytes():
            return NamedBytes(value)
        case np.ndarray():
            return _as_file(value)
        case Path():
            return value
        case str():
            return _of_text(value)
    raise ValueError(f"an image is a path, bytes, base64 or an array, got {type(value).__name__}")


def _as_file(pixels: NDArray[np.uint8]) -> io.BytesIO:
    """As a PNG, lossless, so that arrays are resized as files are."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an image array is uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
    file = NamedBytes()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    file.seek(0)
    return file


def _of_text(value: str) -> Path | io.BytesIO:
    try:
        here = os.environ.get(IN_SERVER) != "true"  # a client must not read files of the server
        if here and len(value) <= MAX_PATH_CHARACTERS and Path(value).is_file():
            return Path(value)
        return NamedBytes(base64.b64decode(value, validate=True))
    except (OSError, ValueError) as error:  # binascii.Error is a ValueError
        raise ValueError(f"image {value[:60]!r} is neither an existing file nor base64") from error


def _load_pyfunc(path: str) -> ServedModel:
    """MLflow's entry: `path` is the checkpoint folder inside the artifact."""
    return load_served(Path(path))


def load_served(folder: Path) -> ServedModel:
    """A checkpoint folder, ready to predict. Raises BadCheckpoint if it is not what was written."""
    return ServedModel(TrainedDetector.load(folder))
