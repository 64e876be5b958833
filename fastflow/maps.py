"""Anomaly maps at the size of the picture that they belong to."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fastflow.frame import Size

Map = NDArray[np.float32]


def resize_map(anomaly_map: Map, size: Size) -> Map:
    """A map (h, w), without padding, at `size` (height, width): bilinear, pixel centres aligned.

    Resizing stretches each axis by itself, the inverse of what `fastflow.frame` did to the picture.
    """
    tensor = torch.from_numpy(anomaly_map)[None, None]
    wide: Map = functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()
    return wide


class OwnMaps(Sequence[Map]):
    """Maps in their pictures' own pixels, each resized on access: all of them at once may be large."""

    def __init__(self, maps: Sequence[Map], shapes: Sequence[Size]) -> None:
        self._maps, self._shapes = maps, shapes

    @overload
    def __getitem__(self, index: int) -> Map: ...
    @overload
    def __getitem__(self, index: slice) -> "OwnMaps": ...
    def __getitem__(self, index: int | slice) -> "Map | OwnMaps":
        if isinstance(index, slice):
            return OwnMaps(self._maps[index], self._shapes[index])
        return resize_map(self._maps[index], self._shapes[index])

    def __len__(self) -> int:
        return len(self._maps)

    def __iter__(self) -> Iterator[Map]:
        return (self[i] for i in range(len(self)))
