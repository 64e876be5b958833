"""Padding beside a picture of another shape: marked in the features, and left out of everything that counts. So is what
lies outside of a region of interest.

Features of a position that sees mostly padding are PADDED, in all channels; the mark stays through copies, batches,
flips, added noise and bfloat16, and no picture gives it. Legend: B images, C channels, h and w of a scale.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

PADDED = -torch.inf
HALF = 0.499  # a half, with a margin for rounding


def inside_pixels(sizes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Where a frame holds its picture, bool (B, 1, H, W); `sizes` (B, 2), whole: the picture's height and width."""
    height, width = image_size
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def padding_of(sizes: Tensor | None, image_size: tuple[int, int]) -> Tensor | None:
    """As `inside_pixels`; None where every picture fills its frame."""
    if sizes is None or bool((sizes == sizes.new_tensor(image_size)).all()):
        return None
    return inside_pixels(sizes, image_size)


def inside_positions(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Of pixels (B, 1, H, W): the positions (B, 1, h, w) of features that see at least as much picture as padding."""
    return functional.adaptive_avg_pool2d(pixels.float(), size) >= HALF


class RoiInFrame(nn.Module):
    """A region of interest in a frame: `pixels` (1, 1, H, W), bool; of each scale the positions that see any of it, so
    that no scale overlooks a thin part. All images have the same."""

    pixels: Tensor

    def __init__(self, inside: NDArray[np.bool_], sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.register_buffer("pixels", torch.from_numpy(inside)[None, None], persistent=False)
        for scale, size in enumerate(sizes):
            positions = self.positions(self.pixels, size)
            self.register_buffer(f"positions_{scale}", positions, persistent=False)
            self.register_buffer(f"nearest_{scale}", nearest(positions[0, 0]), persistent=False)

    @staticmethod
    def positions(pixels: Tensor, size: tuple[int, int]) -> Tensor:
        """Of pixels (B, 1, H, W), which may be flipped: the positions (B, 1, h, w) of a scale that see any of them."""
        return functional.adaptive_max_pool2d(pixels.float(), size) > 0

    def continued(self, scores: Tensor, scale: int) -> Tensor:
        """Scores (B, h, w) of positions; those outside are that of the nearest inside."""
        return scores.flatten(1).index_select(1, self.get_buffer(f"nearest_{scale}")).view_as(scores)


def nearest(inside: Tensor) -> Tensor:
    """Of positions (h, w), for each (h * w,) the number of the nearest one inside; its own, where that is inside."""
    rows, columns = ndimage.distance_transform_edt(~inside.numpy(), return_distances=False, return_indices=True)
    return torch.from_numpy(rows.astype(np.int64) * inside.shape[1] + columns).flatten()


def marked(features: Tensor, inside: Tensor) -> Tensor:
    """Features (B, C, h, w) with PADDED where they are not `inside` (B, 1, h, w)."""
    return features.masked_fill(~inside, PADDED)


def inside_of(features: Tensor) -> Tensor:
    """Where features (B, C, h, w) are not PADDED, bool (B, 1, h, w)."""
    return features[:, :1] != PADDED


def any_padding(features: list[Tensor]) -> bool:
    """Whether anything is padded; while a GPU's graph is recorded, whose replays may bring other features: True."""
    recording = features[0].is_cuda and torch.cuda.is_current_stream_capturing()
    return recording or any(not bool(inside_of(f).all()) for f in features)


def continued(scores: Tensor, inside: Tensor) -> Tensor:
    """Scores (B, h, w) of positions, with those of the picture's last row and column carried on into the padding, as
    scores are at the frame's own edge."""
    rows, columns = inside[:, 0, :, 0].sum(dim=1), inside[:, 0, 0, :].sum(dim=1)
    return carried(carried(scores, rows, dim=1), columns, dim=2)


def carried(scores: Tensor, counts: Tensor, *, dim: int) -> Tensor:
    """Scores (B, h, w) whose positions from each image's count on, along one axis, are its last before that."""
    places = torch.arange(scores.shape[dim], device=scores.device)
    index = torch.minimum(places, (counts - 1).clamp_min(0)[:, None])
    return scores.gather(dim, index[:, :, None].expand_as(scores) if dim == 1 else index[:, None, :].expand_as(scores))


def as_pixels(inside: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Positions (B, 1, h, w) of the finest features as pixels (B, 1, H, W)."""
    rows, columns = (
        torch.arange(side, device=inside.device) * count // side
        for side, count in zip(image_size, inside.shape[2:], strict=True)
    )
    return inside.index_select(2, rows).index_select(3, columns)


def nll_inside(z: Tensor, log_det_jacobian: Tensor, inside: Tensor) -> Tensor:
    """As `fastflow.score.total_nll`, of the positions `inside` (B, 1, h, w) alone."""
    gaussian = (z.square() / 2 + math.log(2 * math.pi) / 2).sum(dim=1)
    return ((gaussian - log_det_jacobian) * inside[:, 0]).sum()


def normalise_inside(features: Tensor, inside: Tensor) -> Tensor:
    """Features (B, C, h, w) to zero mean and unit variance over channels and the positions `inside` (B, 1, h, w)."""
    dims = (1, 2, 3)
    count = features.shape[1] * inside.sum(dim=dims, keepdim=True)
    mean = (features * inside).sum(dim=dims, keepdim=True) / count
    variance = ((features - mean).square() * inside).sum(dim=dims, keepdim=True) / count
    return (features - mean) / torch.sqrt(variance + 1e-5)
