"""Which images a registered model was trained on, as its own files say."""

import hashlib
import json
from pathlib import Path

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from pipelines.core.paths import NORMAL_SCORES
from pipelines.registry.registry import trained_on
from tests.registry.kit import checkpoint


def test_the_images_are_those_of_its_scores_and_an_older_model_names_none(folder: Path) -> None:
    images = [hashlib.sha256(bytes([number])).hexdigest() for number in range(3)]
    assert trained_on(checkpoint(folder / "older", 1)) == frozenset()
    table = json.dumps({"image_path": ["0", "1", "2"], "sha256": images, "pred_score": [0.1, 0.2, 0.3]})
    files = {NORMAL_SCORES: table.encode()}
    threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
    save_checkpoint(load_checkpoint(folder / "older"), folder / "today", files=files, seed=1, threshold=threshold)
    assert trained_on(folder / "today") == set(images)
