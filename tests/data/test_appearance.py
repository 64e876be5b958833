"""What a photograph looks like in figures: what light moves, and what it does not."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fastflow.frame import Frame
from pipelines.data.appearance import appearances, levels_of, read_photograph


def noise(size: int = 64) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    return rng.integers(60, 180, (size, size, 3), dtype=np.uint8)


def test_light_moves_brightness_and_contrast_but_not_sharpness() -> None:
    pixels = noise()
    brightness, contrast, sharpness = levels_of(pixels)
    dim = levels_of((pixels // 2).astype(np.uint8))
    assert dim[0] == pytest.approx(brightness / 2, rel=0.02)
    assert dim[1] == pytest.approx(contrast / 2, rel=0.02)
    assert dim[2] == pytest.approx(sharpness, rel=0.02)
    soft = levels_of(np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))))
    assert soft[2] < sharpness / 3
    assert levels_of(np.full((8, 8, 3), 7, np.uint8)) == (7, 0, 0)


def test_size_is_the_files_and_levels_are_those_of_the_models_input(tmp_path: Path) -> None:
    Image.fromarray(noise(80)).crop((0, 0, 80, 60)).save(tmp_path / "a.png")
    seen = read_photograph(tmp_path / "a.png", Frame(32, 40))
    assert seen.framed.pixels.shape == (32, 40, 3)
    assert seen.appearance[:2] == (80, 60)
    grey = np.asarray(Image.fromarray(seen.framed.pixels).convert("L"), np.float64)
    assert seen.appearance.brightness == pytest.approx(grey.mean(), abs=0.6)
    assert seen.appearance.contrast == pytest.approx(grey.std(), abs=0.3)
    assert appearances([tmp_path / "a.png"] * 3, Frame(32, 40)) == [seen.appearance] * 3
