"""What scores images: one interface to a trained model, a checkpoint, an export and a registered version.

`fastflow.trained.TrainedDetector` has the model itself, `fastflow.export.runner.ExportedDetector` a runtime's; callers
accept either. No PyTorch is imported here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastflow.errors import BadData
from fastflow.frame import Frame

Images = NDArray[np.uint8]
Sizes = NDArray[np.int64]


class Scores(NamedTuple):
    """pred_score (B,) float32, higher is more anomalous; pred_label (B,) int64, 1 unless the score is
    at most the threshold (so that NaN is never called good); anomaly_map
    (B, 1, H, W) float32, NaN in padding."""

    pred_score: NDArray[np.float32]
    pred_label: NDArray[np.int64]
    anomaly_map: NDArray[np.float32]


class NotFinite(BadData):
    """A score that is NaN or infinite, so that there is no verdict."""


def not_finite(name: object, score: float) -> NotFinite:
    return NotFinite(
        f"{name}: its score is {score}, which is no verdict; see that the model is what was trained (fastflow doctor), "
        "and the picture what a camera gives"
    )


def require_finite_scores(names: Sequence[object], pred_score: NDArray[np.float32]) -> None:
    """Raises NotFinite at the first image whose score is not finite."""
    for name, score in zip(names, pred_score, strict=True):
        if not np.isfinite(score):
            raise not_finite(name, float(score))


class Run(Protocol):
    """Scores uint8 images (B, 3, H, W), 0..255, of a model's frame; `sizes` (B, 2), the height and width of each
    picture in its image, the rest of which is padding; None: all of it."""

    def __call__(self, images: Images, sizes: Sizes | None = None) -> Scores: ...


class Detector(Protocol):
    """A trained model, ready to score."""

    @property
    def category(self) -> str:
        """The category it was trained on; empty where that is unknown."""

    @property
    def version(self) -> str:
        """The model's name in score files: equal for equal weights."""

    @property
    def frame(self) -> Frame:
        """The frame that pictures are placed in."""

    @property
    def threshold(self) -> Mapping[str, Any]:
        """As `fastflow.operating.operating_point` has it: `image` of pred_score, `pixel` of the anomaly map, `low`."""

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        """As `Run`, of images of `frame`."""
