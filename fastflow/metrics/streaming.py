"""The pixel metrics and the image AUROC as `torchmetrics.Metric`s, for maps that come batch by batch.

They keep the scores alone, in CPU memory (4 bytes a pixel), not the maps and masks, and give exactly what the
functions give on all images at once. Scores are ranked as they are: nothing is squashed into 0..1.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from fastflow.metrics.counting import Part
from fastflow.metrics.image import checked_scores, image_auroc
from fastflow.metrics.pixel import check_limits, metrics_of, rank_defects
from fastflow.metrics.regions import split_image
from fastflow.metrics.value import Value

Paths = Sequence[object] | None


class PixelMetrics(Metric):
    """`pixel_metrics`, streaming. `compute()` returns its dict of name and Value."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    background: list[Tensor]
    defect: list[Tensor]
    region_size: list[Tensor]
    n_regions: Tensor
    n_images: Tensor

    def __init__(self, *, fpr_limits: Sequence[float] = (0.3, 0.05)) -> None:
        super().__init__()
        check_limits(fpr_limits)
        self.fpr_limits = tuple(fpr_limits)
        for name in ("background", "defect", "region_size"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        for name in ("n_regions", "n_images"):
            self.add_state(name, default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, anomaly_map: Tensor, gt_mask: Tensor | None, *, image_paths: Paths = None) -> None:
        """Add maps, (H, W) or (B, 1, H, W), with masks of the same shape, or None for no defect."""
        if gt_mask is not None and gt_mask.shape != anomaly_map.shape:
            raise ValueError(
                f"anomaly_map has shape {tuple(anomaly_map.shape)}, gt_mask {tuple(gt_mask.shape)}; give both the same"
            )
        maps = anomaly_map.detach().cpu().reshape(-1, *anomaly_map.shape[-2:])
        masks = [None] * len(maps) if gt_mask is None else gt_mask.detach().cpu().reshape(maps.shape)
        names = _names(int(self.n_images), len(maps), image_paths)
        images = [split_image(*image) for image in zip(maps, masks, names, strict=True)]
        self.n_images += len(images)
        for image in images:
            self.background.append(torch.from_numpy(image.part.background().copy()))
            self.defect.append(torch.from_numpy(image.defect))
            self.region_size.append(torch.from_numpy(image.region_size))
            self.n_regions += image.n_regions

    def compute(self) -> dict[str, Value]:
        pixels = rank_defects(
            [Part(scores) for scores in _arrays(self.background)],
            _arrays(self.defect),
            _arrays(self.region_size),
            int(self.n_regions),
        )
        return metrics_of(pixels, self.fpr_limits)


class ImageAUROC(Metric):
    """`image_auroc`, streaming. `compute()` returns its Value."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    pred_score: list[Tensor]
    gt_label: list[Tensor]
    n_images: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("pred_score", "gt_label"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.add_state("n_images", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pred_score: Tensor, gt_label: Tensor, *, image_paths: Paths = None) -> None:
        """Add scores (B,) with labels (B,), 0 or 1."""
        names = _names(int(self.n_images), len(pred_score), image_paths)
        scores, anomalous = checked_scores(pred_score.detach().cpu(), gt_label.cpu(), names)
        self.n_images += len(scores)
        self.pred_score.append(torch.from_numpy(scores.copy()))
        self.gt_label.append(torch.from_numpy(anomalous))

    def compute(self) -> Value:
        scores = _arrays(self.pred_score) or [np.zeros(0)]
        return image_auroc(np.concatenate(scores), np.concatenate(_arrays(self.gt_label) or [np.zeros(0)]))


def _names(first: int, count: int, image_paths: Paths) -> list[str]:
    if image_paths is None:
        return [f"image {index}" for index in range(first, first + count)]
    if len(image_paths) != count:
        raise ValueError(f"{count} images but {len(image_paths)} image paths; give one for each")
    return [str(path) for path in image_paths]


def _arrays(state: list[Tensor] | Tensor) -> list[np.ndarray]:
    """The tensors of a list state, which torchmetrics joins into one when it has synchronised processes."""
    return [tensor.cpu().numpy() for tensor in (state if isinstance(state, list) else [state])]
