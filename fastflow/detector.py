"""What scores images: one interface to a trained model, a checkpoint, an export and a registered version.

`fastflow.trained.TrainedDetector` has the model itself, `fastflow.export.runner.ExportedDetector` a runtime's; whoever
scores takes either. No PyTorch is imported here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


class Scores(NamedTuple):
    """pred_score (B,) float32, higher is more anomalous; pred_label (B,) int64, 1 above the threshold; anomaly_map
    (B, 1, H, W) float32."""

    pred_score: NDArray[np.float32]
    pred_label: NDArray[np.int64]
    anomaly_map: NDArray[np.float32]


class Detector(Protocol):
    """A trained model, ready to score."""

    @property
    def category(self) -> str:
        """What it was trained on; empty where nobody has said."""

    @property
    def version(self) -> str:
        """What its scores are signed with: of equal weights, equal."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the images that it takes."""

    @property
    def threshold(self) -> Mapping[str, Any]:
        """As `fastflow.operating.operating_point` has it: `image` of pred_score, `pixel` of the anomaly map, `low`."""

    def predict(self, images: Images) -> Scores:
        """Scores of uint8 images (B, 3, H, W), 0..255, of `image_size`."""
