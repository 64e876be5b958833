"""Image and mask files to arrays, decoded by threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastflow.decode import read_mask
from fastflow.frame import Frame, Framed, Size, read_framed
from fastflow.pixels.picture import Picture


class Pictures(NamedTuple):
    """Pictures in a frame: `images` (N, 3, H, W), uint8; `sizes` (N, 2), int64, the height and width of each, from the
    upper left corner; `shapes` (height, width) of their files."""

    images: Tensor
    sizes: Tensor
    shapes: list[Size]


Read = Callable[[Path | Picture, Frame], Framed]


def read_pictures(
    paths: Sequence[Path | Picture], frame: Frame, *, read: Read = read_framed, workers: int | None = None
) -> Pictures:
    """Files, or pictures in memory, as a model's input, each by `read`, in `workers` threads; order is that of `paths`.

    Raises:
        BadImage: a file that cannot be used.
    """
    images = np.empty((len(paths), frame.height, frame.width, 3), np.uint8)

    def fill(position: int) -> Framed:
        found = read(paths[position], frame)
        images[position] = found.pixels
        return found

    with ThreadPoolExecutor(workers) as pool:
        found = [(one.size, one.shape) for one in pool.map(fill, range(len(paths)))]
    sizes = torch.tensor([size for size, _ in found], dtype=torch.int64).reshape(len(paths), 2)
    return Pictures(torch.from_numpy(images).permute(0, 3, 1, 2), sizes, [shape for _, shape in found])


def read_parts(paths: Sequence[Path], frame: Frame, size: Size) -> Pictures:
    """As `read_pictures`, of each a part of `size` (height, width) at most, cut from a place that its number draws: of
    many large pictures all fit into memory. Raises BadImage."""
    height, width = size
    images, sizes, shapes = torch.zeros(len(paths), 3, height, width, dtype=torch.uint8), list[Size](), list[Size]()
    for number, path in enumerate(paths):
        found, rng = read_framed(path, frame), np.random.default_rng(number)
        here = (min(height, found.size[0]), min(width, found.size[1]))
        row, column = (int(rng.integers(whole - one + 1)) for whole, one in zip(found.size, here, strict=True))
        part = found.pixels[row : row + here[0], column : column + here[1]]
        images[number, :, : here[0], : here[1]] = torch.from_numpy(part.copy()).permute(2, 0, 1)
        sizes.append(here)
        shapes.append(found.shape)
    return Pictures(images, torch.tensor(sizes, dtype=torch.int64).reshape(len(paths), 2), shapes)


def read_masks(paths: Sequence[Path | None], *, sizes: Sequence[Size]) -> list[NDArray[np.bool_]]:
    """Masks, each at its size (height, width); None stands for a good image and gives an empty mask."""
    return [
        np.zeros(size, bool) if path is None else read_mask(path, image_size=size)
        for path, size in zip(paths, sizes, strict=True)
    ]
