"""Features, computed once: the backbone is frozen, so an image's never change while no augmentation is chosen.

They live in this process alone, in memory or in a file without a name; nothing is left for other trainings.
"""

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fastflow.data import Read, read_pictures
from fastflow.files import with_space_needed
from fastflow.frame import read_framed
from fastflow.model import FastFlow
from fastflow.pixels.picture import Picture


class FeatureStorage(NamedTuple):
    """Where features are stored: in `dtype`, in at most `memory_bytes` (None: no limit); what is more lies in a file
    without a name in `folder`, memory-mapped. On a GPU they stay where half of its free memory holds them."""

    dtype: torch.dtype = torch.float32
    memory_bytes: int | None = None
    folder: Path | None = None


def batches(count: int, batch_size: int) -> Iterator[slice]:
    """Consecutive slices that cover `count` items."""
    return (slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


@torch.no_grad()
def extract_features(
    model: FastFlow,
    paths: Sequence[Path | Picture],
    *,
    batch_size: int,
    device: torch.device,
    storage: FeatureStorage | None = None,
    read: Read = read_framed,
) -> list[Tensor]:
    """Normalised features of all images, each file read by `read`: one tensor (N, C_s, h_s, w_s) per scale, padding
    marked. `features_of` reads them.

    Raises:
        BadImage: a file that cannot be decoded.
        OSError: they fit neither the memory allowed nor the disk.
    """
    store: list[Tensor] = []
    for part in batches(len(paths), batch_size):
        pictures = read_pictures(paths[part], model.frame, read=read)
        inside = model.inside(pictures.sizes)
        features = model.extract(pictures.images.to(device), inside if inside is None else inside.to(device))
        if not store:
            store = allocate([(len(paths), *f.shape[1:]) for f in features], storage or FeatureStorage(), device)
        for whole, piece in zip(store, features, strict=True):
            whole[part] = piece
    return store


def features_of(features: list[Tensor], rows: Tensor | slice, *, device: torch.device) -> list[Tensor]:
    """Those of some images, float32, on `device`."""
    rows = rows.to(features[0].device) if isinstance(rows, Tensor) else rows
    return [f[rows].to(device, torch.float32) for f in features]


def allocate(shapes: list[tuple[int, ...]], storage: FeatureStorage, device: torch.device) -> list[Tensor]:
    """Empty tensors where the storage says. Raises OSError where neither memory nor the disk hold them."""
    needed = sum(map(math.prod, shapes)) * storage.dtype.itemsize
    if device.type == "cuda" and needed <= torch.cuda.mem_get_info(device)[0] / 2:
        return [torch.empty(shape, dtype=storage.dtype, device=device) for shape in shapes]
    if storage.memory_bytes is None or needed <= storage.memory_bytes:
        return [torch.empty(shape, dtype=storage.dtype) for shape in shapes]
    return [_mapped(shape, storage) for shape in shapes]


def _mapped(shape: tuple[int, ...], storage: FeatureStorage) -> Tensor:
    """A tensor in an unlinked file: its space is freed however this process ends."""
    count = math.prod(shape)
    needed = count * storage.dtype.itemsize
    with tempfile.NamedTemporaryFile(prefix=".features-", dir=storage.folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, needed)  # a full disk raises here, not by SIGBUS later
        except OSError as error:
            raise with_space_needed(error, Path(file.name), needed) from error
        return torch.from_file(file.name, shared=True, size=count, dtype=storage.dtype).view(shape)
