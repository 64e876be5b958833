"""Anomaly maps at the size of the picture that they belong to; without PyTorch, as the server has none."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from fastflow.frame import Size
from fastflow.roi import Roi, roi_mask

Map = NDArray[np.float32]
Window = tuple[slice, slice]
"""Rows and columns of a picture."""
WHOLE: Window = (slice(None), slice(None))


class Taps(NamedTuple):
    """Of each pixel of one axis: the two pixels of a map that it lies between, and its distance from the first."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    distance: NDArray[np.float32]


def taps(old: int, new: int) -> Taps:
    """Bilinear, pixel centres aligned (`align_corners=False` of PyTorch)."""
    places = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    first = places.astype(np.intp)
    return Taps(first, np.minimum(first + 1, old - 1), (places - first).astype(np.float32))


def resize_map(anomaly_map: Map, size: Size, window: Window = WHOLE) -> Map:
    """A map (h, w), without padding, at `size` (height, width); of that, `window` alone, with the same values.

    Resizing stretches each axis by itself, the inverse of what `fastflow.frame` did to the picture.
    """
    if anomaly_map.shape == size:
        return anomaly_map[window]
    rows = _part(taps(anomaly_map.shape[0], size[0]), window[0])
    columns = _part(taps(anomaly_map.shape[1], size[1]), window[1])
    wide = _between(anomaly_map[:, columns.first], anomaly_map[:, columns.second], columns.distance)
    return _between(wide[rows.first], wide[rows.second], rows.distance[:, None])


def _part(axis: Taps, chosen: slice) -> Taps:
    return Taps(axis.first[chosen], axis.second[chosen], axis.distance[chosen])


def _between(first: Map, second: Map, distance: NDArray[np.float32]) -> Map:
    """Of copies, in place: the result may be large."""
    second -= first
    second *= distance
    second += first
    return second


def picture_map(in_frame: Map, size: Size, roi: Roi | None, *, low: float) -> Map:
    """The part (h, w) of a frame's map that is of its picture, of that `size` in the frame. Outside of the region of
    interest, where the frame's is NaN, it is `low`: what is usual, so that nothing is marked there."""
    found = in_frame[: size[0], : size[1]]
    return found if roi is None else np.where(roi_mask(roi, size), found, np.float32(low))


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
