"""The appearance of a photograph in five numbers, which distinguish a new camera or light from new defects."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fastflow.decode import NamedBytes
from fastflow.frame import Frame, Framed, read_framed


class Appearance(NamedTuple):
    """`width`, `height`: of the file, pixels. The rest of its grey levels, 0..255, at the model's size: their mean
    (`brightness`) and standard deviation (`contrast`), and the variance of their Laplacian in that of the levels
    themselves (`sharpness`: light does not change it, focus does)."""

    width: int
    height: int
    brightness: float
    contrast: float
    sharpness: float


class Photograph(NamedTuple):
    """A file in a model's frame, its appearance, and the hash of its bytes."""

    framed: Framed
    appearance: Appearance
    sha256: str


def read_photograph(path: Path, frame: Frame) -> Photograph:
    """As `fastflow.frame.read_framed`, of the same bytes that are hashed: a camera may overwrite the file meanwhile.

    Raises:
        BadImage, OSError: it cannot be read.
    """
    content = path.read_bytes()
    found = read_framed(NamedBytes(content, str(path)), frame)
    height, width = found.size
    looks = Appearance(found.shape[1], found.shape[0], *levels_of(found.pixels[:height, :width]))
    return Photograph(found, looks, hashlib.sha256(content).hexdigest())


def levels_of(pixels: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Brightness, contrast and sharpness of RGB pixels (H, W, 3), each to six digits."""
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
    variance = float(grey.var())
    sharpness = float(ndimage.laplace(grey, mode="nearest").var()) / variance if variance > 0 else 0.0
    brightness, contrast, sharpness = (float(f"{value:.6g}") for value in (grey.mean(), variance**0.5, sharpness))
    return brightness, contrast, sharpness


def appearances(paths: Sequence[Path], frame: Frame) -> list[Appearance]:
    """Of each file, in order; read by several threads. Raises BadImage."""

    def look(path: Path) -> Appearance:
        return read_photograph(path, frame).appearance

    with ThreadPoolExecutor() as pool:
        return list(pool.map(look, paths))
