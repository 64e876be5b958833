"""Registered models scored now, on the same images with the same code: what the gate compares."""

import hashlib
from pathlib import Path

from fastflow.evaluation import Scored, measure, score_images
from fastflow.files import file_sha256
from fastflow.index import read_index
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import index_file
from pipelines.promotion.gate import Measured
from pipelines.reporting.tables import score_table

ROUNDS = 3  # of timing, in turns, so that a busy moment hits both models


class EvaluationSet:
    """A category's test images, as its index names them now."""

    def __init__(self, category: str, params: Params) -> None:
        self.root = Path(params.data.root) / category
        self.index = read_index(index_file(category), split="test")
        self.paths = [self.root / path for path in self.index["image_path"]]
        self.batch_size, self.device = params.evaluate.batch_size, choose_device(params.device)

    def sha256(self) -> str:
        """Of names, labels and the bytes of every image and mask."""
        lines = []
        for row in self.index.itertuples():
            mask = file_sha256(self.root / str(row.mask_path)) if row.mask_path else ""
            lines.append(f"{row.image_path} {row.gt_label} {file_sha256(self.root / str(row.image_path))} {mask}\n")
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def measure(self, detectors: list[TrainedDetector]) -> list[Measured]:
        """Each model's scores, labels at its own threshold, AUPRO, and milliseconds per image (best of three)."""
        scored = [self._score(detector, self.paths) for detector in detectors]
        best = [s.milliseconds_per_image for s in scored]
        few = self.paths[: 2 * self.batch_size]
        for _ in range(ROUNDS):
            for i, detector in enumerate(detectors):
                best[i] = min(best[i], self._score(detector, few).milliseconds_per_image)
        found = []
        for detector, scores, milliseconds in zip(detectors, scored, best, strict=True):
            table = score_table(self.index, scores.pred_score, threshold=detector.threshold["image"])
            aupro = measure(self.index, scores, self.root)["aupro"].value
            found.append(Measured(table, aupro, milliseconds))
        return found

    def _score(self, detector: TrainedDetector, paths: list[Path]) -> Scored:
        return score_images(detector.to(self.device), paths, batch_size=self.batch_size)
