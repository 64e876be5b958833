"""Registered models scored now, on the same images with the same code: what the gate compares."""

import dataclasses
import hashlib
import json
from pathlib import Path

from fastflow.evaluation import Scored, any_defect, no_pixels, pixel_values, pixels, score_images
from fastflow.files import file_sha256
from fastflow.index import read_index
from fastflow.metrics.bootstrap import pixel_histograms
from fastflow.metrics.regions import split_images
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import index_file
from pipelines.promotion.rules import Measured
from pipelines.reporting.tables import score_table

ROUNDS = 5  # of timing, in turns, so that other work on the machine hits both models


class EvaluationSet:
    """A category's test images, as its index names them now. `distinct`: copies of one image count once, as limits take
    images as independent."""

    def __init__(self, category: str, params: Params, *, distinct: bool = False) -> None:
        self.root = Path(params.data.root) / category
        self.index = read_index(index_file(category), split="test")
        if distinct:
            self.index = self.index.drop_duplicates(["sha256", "gt_label"], ignore_index=True)
        self.paths = [self.root / path for path in self.index["image_path"]]
        self.batch_size, self.device = params.evaluate.batch_size, choose_device(params.device)

    def sha256(self) -> str:
        """Of names, labels and the bytes of every image and mask."""
        lines = []
        for row in self.index.itertuples():
            mask = file_sha256(self.root / str(row.mask_path)) if row.mask_path else ""
            lines.append(f"{row.image_path} {row.gt_label} {file_sha256(self.root / str(row.image_path))} {mask}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def measure(self, detector: TrainedDetector) -> Measured:
        """A model's scores, labels at its own threshold, AUPRO, and the pixels that its limits are resampled from."""
        scored = self._score(detector, self.paths)
        maps, masks = pixels(self.index, scored, self.root)
        histograms = (
            None if no_pixels(self.index) or not any_defect(masks) else pixel_histograms(split_images(maps, masks))
        )
        return Measured(
            scores=score_table(self.index, scored.pred_score, threshold=detector.threshold["image"]),
            aupro=pixel_values(self.index, maps, masks)["aupro"].value,
            pixels=histograms,
            architecture=architecture_of(detector),
            milliseconds_per_image=scored.milliseconds_per_image,
            roi=scored.roi,
        )

    def speed_ratios(self, challenger: TrainedDetector, champion: TrainedDetector) -> list[float]:
        """The challenger's time over the champion's on the same images, once a turn, after one that warms both up."""
        few, ratios = self.paths[: 2 * self.batch_size], []
        for _ in range(1 + ROUNDS):
            first, second = (self._score(one, few).milliseconds_per_image for one in (challenger, champion))
            ratios.append(first / second)
        return ratios[1:]

    def _score(self, detector: TrainedDetector, paths: list[Path]) -> Scored:
        return score_images(detector.to(self.device), paths, batch_size=self.batch_size)


def architecture_of(detector: TrainedDetector) -> str:
    """Equal where two models compute the same operations on inputs of one size."""
    return json.dumps(dataclasses.asdict(detector.model.config), sort_keys=True)
