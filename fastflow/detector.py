"""What scores images: one interface to a trained model, a checkpoint, an export and a registered version.

`fastflow.trained.TrainedDetector` has the model itself, `fastflow.export.runner.ExportedDetector` a runtime's; whoever
scores takes either. No PyTorch is imported here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastflow.frame import Frame

Images = NDArray[np.uint8]
Sizes = NDArray[np.int64]


class Scores(NamedTuple):
    """pred_score (B,) float32, higher is more anomalous; pred_label (B,) int64, 1 above the threshold; anomaly_map
    (B, 1, H, W) float32, NaN in padding."""

    pred_score: NDArray[np.float32]
    pred_label: NDArray[np.int64]
    anomaly_map: NDArray[np.float32]


class Run(Protocol):
    """Scores uint8 images (B, 3, H, W), 0..255, of a model's frame; `sizes` (B, 2), the height and width of each
    picture in its image, the rest of which is padding; None: all of it."""

    def __call__(self, images: Images, sizes: Sizes | None = None) -> Scores: ...


class Detector(Protocol):
    """A trained model, ready to score."""

    @property
    def category(self) -> str:
        """What it was trained on; empty where nobody has said."""

    @property
    def version(self) -> str:
        """What its scores are signed with: of equal weights, equal."""

    @property
    def frame(self) -> Frame:
        """What pictures are laid into before it sees them."""

    @property
    def threshold(self) -> Mapping[str, Any]:
        """As `fastflow.operating.operating_point` has it: `image` of pred_score, `pixel` of the anomaly map, `low`."""

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        """As `Run`, of images of `frame`."""
