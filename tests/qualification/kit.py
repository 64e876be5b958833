"""A category with unseen good plates, and a model of it, as a person has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastflow.checkpoint import save_checkpoint
from fastflow.data import read_pictures
from fastflow.index import write_index
from fastflow.model import FastFlow
from fastflow.trained import TrainedDetector
from pipelines.core.params_edit import write_values
from pipelines.core.paths import index_file
from tests.conftest import ROOT, SIZE, draw_square, hashed_index, shake, tiny_config, write_plates

MODEL = Path("models/plates")


def write_params(folder: Path) -> None:
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_values({"data.root": "images", "data.categories": ["plates"]})


def write_project(folder: Path, *, num_good: int = 12, quantile: float = 1.0, size: int = SIZE) -> None:
    """Parameters, images, index, and a checkpoint whose threshold lies at this quantile of the unseen good scores."""
    write_params(folder)
    plates = write_plates(folder / "images/plates", num_train=4, num_test=2, size=size)
    for number in range(num_good):
        pixels, _ = draw_square(seed=1000 + number, defect=False, size=size)
        Image.fromarray(pixels).save(plates / f"test/good/{number:03}.png")
    index_file("plates").parent.mkdir(parents=True, exist_ok=True)
    write_index(hashed_index(plates), index_file("plates"))
    torch.manual_seed(0)
    model = FastFlow(tiny_config())
    shake(model.flows, scale=0.02)
    scores = good_scores(model, plates)
    threshold = {"image": float(np.quantile(scores, quantile)), "pixel": 1.0, "low": 0.1}
    save_checkpoint(model, folder / MODEL, category="plates", threshold=threshold)


def good_scores(model: FastFlow, plates: Path) -> np.ndarray:
    paths = sorted((plates / "test/good").iterdir())
    detector = TrainedDetector(model=model, threshold={"image": 0.0, "pixel": 1.0, "low": 0.1})
    pictures = read_pictures(paths, detector.frame)
    return detector.predict(pictures.images.numpy(), pictures.sizes.numpy()).pred_score


@pytest.fixture
def project(folder: Path) -> Path:
    write_project(folder)
    return folder
