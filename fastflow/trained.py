"""A detector with the trained model itself: the result of a training, and what a checkpoint contains."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from fastflow.allowed import check_threshold
from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.detector import Images, Scores, Sizes
from fastflow.frame import Frame
from fastflow.model import FastFlow
from fastflow.sealed import CHECKPOINT, read_config, weights_id
from fastflow.tiled import tile_run, tiling_of


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedDetector:
    """A `fastflow.detector.Detector` with its `model`, on whatever device that is.

    Raises:
        ValueError: a threshold without `image`, `pixel` or `low`, or with one that is not finite.
    """

    model: FastFlow
    threshold: Mapping[str, Any]
    category: str = ""
    version: str = "not saved"

    def __post_init__(self) -> None:
        check_threshold("detector", self.threshold)

    @property
    def frame(self) -> Frame:
        return self.model.frame

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        if tiling := tiling_of(self.model.config, self.threshold["image"]):
            return tiling.over(tile_run(self.model))(images, sizes)
        own = torch.from_numpy(images.copy(order="K"))  # in their memory layout: the kernels that it takes round alike
        device = self.model.mean.device
        found = self.model(own.to(device), None if sizes is None else torch.from_numpy(sizes).to(device))
        score = found.pred_score.cpu().numpy()
        label = (~(score <= self.threshold["image"])).astype(np.int64)  # NaN is not good
        return Scores(score, label, found.anomaly_map.cpu().numpy())

    def to(self, device: torch.device) -> Self:
        """Moves the model, in place."""
        self.model.to(device)
        return self

    def save(self, folder: str | Path) -> None:
        """A checkpoint folder, which the pipeline's commands take as well; its name is the category's."""
        save_checkpoint(self.model, Path(folder), category=Path(folder).name, threshold=dict(self.threshold))

    @classmethod
    def load(cls, folder: Path, *, category: str = "", version: str = "", sha256: str = "") -> Self:
        """A checkpoint, on the CPU. `category`, `version`: by default what the checkpoint says, and its `weights_id`.
        `sha256`: of its config.json, where that is known.

        Raises:
            BadCheckpoint: its files are not those that were written, or not those that are known.
        """
        return cls.described(folder, read_config(folder, sha256=sha256), category=category, version=version)

    @classmethod
    def described(cls, folder: Path, about: Mapping[str, Any], *, category: str = "", version: str = "") -> Self:
        """As `load`, of a config.json that was read before: its name and threshold are of these weights, or it raises
        BadCheckpoint."""
        threshold, model = CHECKPOINT.threshold(folder, about), load_checkpoint(folder, about=about)
        return cls(
            model=model,
            threshold=threshold,
            category=category or about.get("category", ""),
            version=version or weights_id(about),
        )
