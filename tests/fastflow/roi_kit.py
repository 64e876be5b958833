"""A region of interest, models and pictures with one."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fastflow.model import FastFlow
from fastflow.roi import roi_of
from tests.conftest import SIZE, shake, tiny_config

CPU = torch.device("cpu")


def drawn(size: int = SIZE) -> NDArray[np.bool_]:
    """A block off the middle with a hole, and a line of one pixel."""
    mask = np.zeros((size, size), bool)
    unit = size / SIZE
    mask[round(13 * unit) : round(45 * unit), round(21 * unit) : round(58 * unit)] = True
    mask[round(25 * unit) : round(32 * unit), round(30 * unit) : round(37 * unit)] = False
    mask[round(60 * unit), 2 : round(15 * unit)] = True
    return mask


def model_with(mask: NDArray[np.bool_], **changes: object) -> FastFlow:
    made = FastFlow(tiny_config(roi=roi_of(mask), **changes)).eval()
    shake(made.flows, scale=0.05)
    return made


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def bits(values: Tensor) -> bytes:
    return bytes(values.numpy().tobytes())


def scribbled(folder: Path, mask: NDArray[np.bool_], *, seed: int) -> None:
    """Draws noise over every picture of a category, outside of the region alone."""
    rng = np.random.default_rng(seed)
    for path in sorted((folder / place for place in ("train", "test")), key=str):
        for file in sorted(path.rglob("*.png")):
            pixels = np.asarray(Image.open(file).convert("RGB"))
            noise = rng.integers(0, 256, pixels.shape, dtype=np.uint8)
            Image.fromarray(np.where(mask[..., None], pixels, noise)).save(file)
