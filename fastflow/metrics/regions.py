"""Checked anomaly maps and masks, split into background and defect pixels with their region sizes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fastflow.metrics.counting import Mask, Part, Scores, default_workers

Masks = Sequence[ArrayLike | None]
EIGHT_CONNECTED = np.ones((3, 3), int)


class ImagePixels(NamedTuple):
    """The pixels of one image. A region is an 8-connected component of the ground-truth mask."""

    part: Part  # all scores, with the mask that takes out the defects and what is hidden (None for nothing)
    defect: Scores  # (D,) scores of the defect pixels
    region_size: NDArray[np.int32]  # (D,) pixels in the region of each
    n_regions: int


def split_images(
    anomaly_maps: Sequence[ArrayLike], gt_masks: Masks, *, image_paths: Sequence[object] | None = None
) -> list[ImagePixels]:
    """Check and split maps (H_i, W_i) with masks (H_i, W_i), > 0 is defect, or None for no defect. What a masked array
    (`numpy.ma`) hides is neither defect nor background.

    Raises ValueError that names the image (its path, else its index) for a score that is NaN or infinite
    or for shapes that do not fit, and for sequences of unequal length.
    """
    names = _names(len(anomaly_maps), len(gt_masks), image_paths)
    with ThreadPoolExecutor(default_workers()) as pool:
        return list(pool.map(split_image, anomaly_maps, gt_masks, names))


def split_image(anomaly_map: ArrayLike, gt_mask: ArrayLike | None, name: str) -> ImagePixels:
    """Check and split one image; `name` is what an error calls it."""
    scores = as_scores(anomaly_map)
    if scores.ndim != 2:
        raise ValueError(f"{name}: the anomaly map has shape {scores.shape}; give one map (H, W)")
    if not np.isfinite(scores).all():
        count = int((~np.isfinite(scores)).sum())
        raise ValueError(f"{name}: {count} of {scores.size} scores of the anomaly map are NaN or infinite")
    mask = None if gt_mask is None else _as_mask(gt_mask)
    if mask is not None and mask.shape != scores.shape:
        raise ValueError(
            f"{name}: the anomaly map is {scores.shape} and its mask {mask.shape}; resize the map to the mask"
        )
    hidden = (
        np.ma.getmaskarray(gt_mask) if isinstance(gt_mask, np.ma.MaskedArray) and np.ma.is_masked(gt_mask) else None
    )
    if mask is not None and hidden is not None:
        mask = mask & ~hidden
    if mask is None or not mask.any():
        return ImagePixels(Part(scores, hidden), np.empty(0, scores.dtype), np.empty(0, np.int32), 0)
    size, n_regions = _region_sizes(mask)
    return ImagePixels(Part(scores, mask if hidden is None else mask | hidden), scores[mask], size, n_regions)


def as_scores(scores: ArrayLike) -> Scores:
    """Floats, exactly: float32 where that loses nothing (twice as fast to sort), else float64."""
    array = np.asarray(scores)
    return array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64, copy=False)


def _as_mask(gt_mask: ArrayLike) -> Mask:
    mask = np.asarray(gt_mask)
    return mask if mask.dtype == np.bool_ else mask > 0


def _region_sizes(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """For each defect pixel the size of its region, and the number of regions."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # labelling is slow, defects are small
    labels: NDArray[Any]
    labels, n_regions = ndimage.label(box, EIGHT_CONNECTED)
    label = labels[box]
    return np.bincount(label).astype(np.int32)[label], n_regions


def _names(n_maps: int, n_masks: int, image_paths: Sequence[object] | None) -> list[str]:
    if n_maps != n_masks:
        raise ValueError(f"{n_maps} anomaly maps but {n_masks} masks; give one mask (or None) for each map")
    if image_paths is None:
        return [f"image {index}" for index in range(n_maps)]
    if len(image_paths) != n_maps:
        raise ValueError(f"{n_maps} anomaly maps but {len(image_paths)} image paths; give one for each map")
    return [str(path) for path in image_paths]
