"""Image and mask files to arrays, decoded by threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastflow.decode import read_image, read_mask


def read_images(paths: Sequence[Path], *, image_size: tuple[int, int], workers: int | None = None) -> Tensor:
    """Files to one uint8 tensor (N, 3, H, W), 0..255, decoded by `workers` threads; order is that of `paths`.

    Raises:
        BadImage: a file that cannot be used.
    """
    images = np.empty((len(paths), *image_size, 3), np.uint8)

    def fill(position: int) -> None:
        images[position] = read_image(paths[position], image_size=image_size)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(len(paths))))
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def read_masks(paths: Sequence[Path | None], *, image_size: tuple[int, int]) -> list[NDArray[np.bool_]]:
    """Masks (H, W); None stands for a good image and gives an empty mask."""
    return [np.zeros(image_size, bool) if p is None else read_mask(p, image_size=image_size) for p in paths]
