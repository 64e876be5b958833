"""Photographs with bright shapes, and a detector that calls brightness anomalous: what comes out can be counted."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastflow.detector import Images, Scores, Sizes
from fastflow.frame import Frame
from tests.conftest import fastflow

SIDE = 64
Run = Callable[..., int]
Shape = tuple[int, int, int, int, int]
"""x, y, width, height and brightness of a rectangle."""
SHAPES: dict[str, list[Shape]] = {
    "a_two": [(3, 5, 10, 4, 255), (40, 30, 6, 6, 204)],
    "b_good": [],
    "c_small": [(50, 50, 2, 2, 230)],
    "=d_formula": [(10, 20, 7, 5, 240)],
}


class Brightness:
    """A detector whose anomaly map is how bright a picture is, 0 to 1."""

    category, version = "plates", "v1"
    frame = Frame(SIDE, SIDE)

    def __init__(self, pixel: float = 0.5) -> None:
        self.threshold: dict[str, Any] = {"image": 0.5, "pixel": pixel, "low": 0.2}

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        maps = images[:, :1].astype(np.float32) / np.float32(255)
        score = maps.max(axis=(1, 2, 3))
        return Scores(score, (score > 0.5).astype(np.int64), maps)


def draw(shapes: list[Shape], *, times: int = 1) -> NDArray[np.uint8]:
    """A dark photograph with rectangles; `times` as large."""
    pixels = np.full((SIDE * times, SIDE * times, 3), 40, np.uint8)
    for x, y, width, height, level in shapes:
        pixels[y * times : (y + height) * times, x * times : (x + width) * times] = level
    return pixels


def write_photographs(folder: Path) -> Path:
    folder.mkdir()
    for name, shapes in SHAPES.items():
        Image.fromarray(draw(shapes)).save(folder / f"{name}.png")
    return folder


def score(monkeypatch: pytest.MonkeyPatch, *words: object, detector: Brightness | None = None) -> int:
    """The exit code of `fastflow score` with such a detector."""
    monkeypatch.setattr("pipelines.scoring.score.open_detector", lambda *_, **__: detector or Brightness())
    return fastflow("score", "--model", "plates", *words)


def read(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as file:
        return list(csv.DictReader(file))
