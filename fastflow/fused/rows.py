"""What the fused kernels of all processors share: positions as rows, and where a coupling's channels lie."""

from typing import NamedTuple

import torch
from torch import Tensor


class Limits(NamedTuple):
    """Channels of x that condition and that change, how far the log-scale goes (nats), and which channels of z the
    next coupling sees (`seen` of them from `seen_at` on), cut at +-clip."""

    kept_at: int
    changed_at: int
    clamp: float
    clip: float
    seen_at: int
    seen: int


def rows_of(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B * H * W, C): a view of channels-last memory, a copy of any other."""
    batch, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).contiguous().view(batch * height * width, channels)


def empty_images(like: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Memory for (B, `channels`, H, W), channels-last, on the device of `like`."""
    batch, _, height, width = like.shape
    shape = (batch, channels, height, width)
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=torch.channels_last)
