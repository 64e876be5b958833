"""Masks at another size: no defect is lost, however thin."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage


def resize_mask(mask: NDArray[np.bool_], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at `image_size` (height, width), by area: a pixel is defect where at least half of it is.

    A region (8-connected) that would vanish keeps each pixel that it touches, so that no thin defect is lost.
    """
    if mask.shape == image_size:
        return mask
    resized = coverage(mask, image_size) >= 0.5
    regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
    (rows, from_rows), (columns, from_columns) = map(_reads, mask.shape, image_size)
    spread = regions[np.ix_(from_rows, from_columns)].ravel()
    pixels = np.flatnonzero(spread)
    pixels = pixels[np.argsort(spread[pixels], kind="stable")]  # region by region
    starts = np.searchsorted(spread[pixels], np.arange(2, count + 1))
    for part in np.split(pixels, starts):
        touched = rows[part // len(columns)], columns[part % len(columns)]
        if not resized[touched].any():
            resized[touched] = True
    return resized


def _reads(size: int, new_size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of one axis: pairs of a resized pixel and a pixel that `coverage` reads for it.

    Pillow's own arithmetic (`precompute_coeffs` and `box_filter` of Resample.c), whose rounding decides ties; in memory
    of the two sizes, as a small file may state any.
    """
    scale = size / new_size
    wide = max(scale, 1.0)
    centers = (np.arange(new_size) + 0.5) * scale
    first = np.maximum((centers - 0.5 * wide + 0.5).astype(np.intp), 0)
    end = np.minimum((centers + 0.5 * wide + 0.5).astype(np.intp), size)
    counts = end - first
    new = np.repeat(np.arange(new_size), counts)
    pixel = np.arange(len(new)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    apart = (pixel - centers[new] + 0.5) * (1 / wide)
    read = (apart > -0.5) & (apart <= 0.5)
    return new[read], pixel[read]


def coverage(mask: NDArray[np.bool_], image_size: tuple[int, int]) -> NDArray[np.float32]:
    """Fraction 0..1 of each pixel of `image_size` that the mask covers."""
    area = Image.fromarray(mask.astype(np.float32)).resize(image_size[::-1], Image.Resampling.BOX)
    return np.asarray(area, np.float32)
