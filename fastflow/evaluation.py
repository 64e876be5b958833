"""A trained model on the test images of a category: scores, maps, and the metrics of both."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fastflow.by_region import judge_picture
from fastflow.data import read_masks, read_pictures
from fastflow.decode import read_mask
from fastflow.detector import Detector, require_finite_scores
from fastflow.features import FeatureStorage, allocate, batches
from fastflow.frame import Size, at_once
from fastflow.maps import picture_map, resize_map
from fastflow.metrics.aupimo import aupimo
from fastflow.metrics.bootstrap import Interval, image_intervals, mean_interval, pixel_intervals
from fastflow.metrics.image import image_ap, image_auroc, image_f1_max
from fastflow.metrics.pixel import pixel_metrics
from fastflow.metrics.value import Value, undefined
from fastflow.pixels.picture import Picture
from fastflow.regions import find_regions
from fastflow.roi import Roi, hidden_outside

STORAGE = FeatureStorage(memory_bytes=2**31)  # of an evaluation's maps: more lie in a file
PIXEL_METRICS = ("pixel_auroc", "pixel_ap", "pixel_f1_max_oracle", "aupro", "aupro_005", "aupimo")


class Scored(NamedTuple):
    """pred_score (N,) and anomaly_maps [(h_i, w_i)], both float32, the pictures' own `shapes` (height, width), and the
    wall time per image, decoding included. A map is of the picture as the model sees it, without padding. Outside of
    `roi`, the region of interest, it is as `fastflow.maps.picture_map` has it, and nothing is evaluated."""

    pred_score: NDArray[np.float32]
    anomaly_maps: list[NDArray[np.float32]]
    shapes: list[Size]
    milliseconds_per_image: float
    roi: Roi | None = None


def score_images(
    detector: Detector,
    paths: Sequence[Path | Picture],
    *,
    batch_size: int,
    on_images: Callable[[int], object] = lambda count: None,
) -> Scored:
    """Scores images in order. `on_images` is called with the number of images of each batch that is done.

    Raises:
        BadImage: a file that cannot be decoded.
        NotFinite: a score that is no number.
        OSError: neither memory nor the disk hold the maps.
    """
    start = time.perf_counter()
    scores: list[NDArray[np.float32]] = []
    maps: list[NDArray[np.float32]] = []
    frame = detector.frame
    kept = allocate([(len(paths), frame.height, frame.width)], STORAGE, torch.device("cpu"))[0].numpy()
    shapes: list[Size] = []
    roi, low = detector.frame.roi, float(detector.threshold["low"])
    for part in batches(len(paths), at_once(detector.frame, batch_size)):
        pictures = read_pictures(paths[part], detector.frame)
        found = detector.predict(pictures.images.numpy(), pictures.sizes.numpy())
        require_finite_scores(paths[part], found.pred_score)
        scores.append(found.pred_score)
        for place, one, size in zip(kept[part], found.anomaly_map, pictures.sizes.tolist(), strict=True):
            height, width = size
            place[:height, :width] = picture_map(one[0], (height, width), roi, low=low)
            maps.append(place[:height, :width])
        shapes += pictures.shapes
        on_images(len(pictures.shapes))
    milliseconds = 1000 * (time.perf_counter() - start) / max(1, len(paths))
    return Scored(np.concatenate(scores or [np.empty(0, np.float32)]), maps, shapes, milliseconds, roi)


def mask_paths(index: pd.DataFrame, root: Path) -> list[Path | None]:
    """The mask file of each row of an index; None where it has none."""
    return [root / path if path else None for path in index["mask_path"]]


def measure(index: pd.DataFrame, scored: Scored, root: Path, *, original_size: bool = False) -> dict[str, Value]:
    """Image and pixel metrics, by definition, at the size that `pixels` says; undefined ones say why.

    `index` holds the rows of the scored images, `root` their category's folder.
    """
    maps, masks = pixels(index, scored, root, original_size=original_size)
    return image_metrics(index, scored.pred_score) | pixel_values(index, maps, masks)


class JudgedRegions(NamedTuple):
    """Regions of the images of an index. `true`: a row a true region, its image_path and defect_type, its `area` in the
    picture's own pixels, and whether it is `found`. `false_in_good`: of each good image, how many are reported;
    `false_in_defective`: in all others together, beside their defects. `without_mask`: defective images that say
    nothing of it."""

    true: pd.DataFrame
    false_in_good: list[int]
    false_in_defective: int
    without_mask: int


def judge_regions(
    index: pd.DataFrame, scored: Scored, root: Path, *, threshold: float, min_area: int = 0
) -> JudgedRegions:
    """What the regions above `threshold`, but those of fewer pixels than `min_area`, find of the true ones, by
    `fastflow.by_region`; image by image, in each picture's own pixels."""
    true: list[dict[str, Any]] = []
    in_good: list[int] = []
    in_defective, without_mask = 0, 0
    for place, file in enumerate(mask_paths(index, root)):
        about, size = index.iloc[place], scored.shapes[place]
        if about["gt_label"] == 1 and file is None:
            without_mask += 1
            continue
        regions = find_regions(scored.anomaly_maps[place], size, threshold=threshold, min_area=min_area)
        if file is None:
            in_good.append(len(regions))
            continue
        judged = judge_picture(regions, hidden_outside(read_mask(file, image_size=size), scored.roi))
        in_defective += judged.false_regions
        of_image = {name: about[name] for name in ("image_path", "defect_type")}
        both = zip(judged.areas, judged.found, strict=True)
        true += [of_image | {"area": area, "found": found} for area, found in both]
    columns = ["image_path", "defect_type", "area", "found"]
    return JudgedRegions(pd.DataFrame(true, columns=columns), in_good, in_defective, without_mask)


def image_metrics(index: pd.DataFrame, pred_score: NDArray[np.float32]) -> dict[str, Value]:
    """image_auroc, image_ap and image_f1_max_oracle of the scores of an index's rows."""
    metrics = {"image_auroc": image_auroc, "image_ap": image_ap, "image_f1_max_oracle": image_f1_max}
    label, paths = index["gt_label"].to_numpy(), list(index["image_path"])
    return {name: metric(pred_score, label, image_paths=paths) for name, metric in metrics.items()}


def pixels(
    index: pd.DataFrame, scored: Scored, root: Path, *, original_size: bool = False
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
    """Maps and masks (h_i, w_i) for the pixel metrics: as the model sees the pictures, or each at its picture's size.

    As the model sees them, masks are resized (`fastflow.decode.read_mask`); at the original size maps are, and masks
    are as drawn, which costs the pixels of all pictures in memory. What lies outside of a region of interest is hidden.
    """
    maps, files = scored.anomaly_maps, mask_paths(index, root)
    if not original_size:
        masks = read_masks(files, sizes=[(len(one), len(one[0])) for one in maps])
        return maps, [hidden_outside(mask, scored.roi) for mask in masks]
    masks = [
        hidden_outside(np.zeros(shape, bool) if file is None else read_mask(file), scored.roi)
        for file, shape in zip(files, scored.shapes, strict=True)
    ]
    return [resize_map(one, (len(mask), len(mask[0]))) for one, mask in zip(maps, masks, strict=True)], masks


def pixel_values(
    index: pd.DataFrame, maps: list[NDArray[np.float32]], masks: list[NDArray[np.bool_]]
) -> dict[str, Value]:
    """pixel_auroc, pixel_ap, pixel_f1_max_oracle, aupro, aupro_005 and aupimo of the maps of an index's rows."""
    reason = no_pixels(index)
    if reason:
        return dict.fromkeys(PIXEL_METRICS, undefined(reason))
    paths = list(index["image_path"])
    found = pixel_metrics(maps, masks, image_paths=paths) | {"aupimo": aupimo(maps, masks, image_paths=paths).mean}
    return {name: found[name] for name in PIXEL_METRICS}


def no_pixels(index: pd.DataFrame) -> str:
    """Why the pixel metrics of these images are undefined; empty where they are defined."""
    defective = index["gt_label"] == 1
    if not defective.any():
        return "no defective image"
    return "a defective image without mask" if (index.loc[defective, "mask_path"] == "").any() else ""


def any_defect(masks: Sequence[NDArray[np.bool_]]) -> bool:
    """Whether a pixel is defect that no mask hides: a region of interest may leave all of them out."""
    return any(bool(np.asarray(mask).any()) for mask in masks)


def intervals(
    index: pd.DataFrame,
    pred_score: NDArray[np.float32],
    maps: list[NDArray[np.float32]],
    masks: list[NDArray[np.bool_]],
) -> dict[str, Interval]:
    """95 % bootstrap intervals of the metrics that have one; see `fastflow.metrics.bootstrap`."""
    label = index["gt_label"].to_numpy()
    found = image_intervals(pred_score, label)
    if no_pixels(index) or not any_defect(masks):
        return found
    per_image = [v.value for v in aupimo(maps, masks).per_image if v.value is not None]
    of_aupimo = mean_interval(per_image)
    return found | pixel_intervals(maps, masks, label) | ({"aupimo": of_aupimo} if of_aupimo else {})
