"""A coupling's elementwise part on a CPU: tensors to the arrays of `fastflow.fused.cpu_kernels`.

`subnet`, `forward` and `backward` are what `fastflow.fused.coupling` calls; `fastflow.fused.gpu` has the same for GPUs.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastflow.fused import cpu_kernels as kernels
from fastflow.fused.rows import Limits, empty_images, rows_of


def subnet(net: nn.Sequential, seen: Tensor) -> tuple[Tensor, None]:
    """The subnet's output; there is no bias left to add."""
    return net(seen), None


def forward(
    x: Tensor, a: Tensor, bias: None, before: Tensor, scale: Tensor, offset: Tensor, order: Tensor, limits: Limits
) -> tuple[Tensor, Tensor, Tensor]:
    """Coupling, global affine and permutation: x (B, C, H, W) and a (B, 2 x changed, H, W) to z like x, `before` plus
    the coupling's log-determinant (B, H, W), nats, and `seen`: channels of z, cut at +-clip."""
    batch, channels, height, width = x.shape
    z, seen = empty_images(x, channels), empty_images(x, limits.seen)
    log_det = torch.empty(batch, height, width)
    kernels.forward(
        kernels.use_workers(torch.get_num_threads()),
        _array(x), _array(a.float()), _vector(before),
        _vector(scale), _vector(offset), _vector(order), *_numbers(limits),
        _array(z), _vector(log_det), _array(seen),
    )  # fmt: skip
    return z, log_det, seen


def backward(
    x: Tensor, a: Tensor, bias: None, z: Tensor, scale: Tensor, back: Tensor, limits: Limits,
    dz: Tensor, dlog_det: Tensor, dseen: Tensor,
) -> tuple[Tensor, Tensor, None, Tensor, Tensor]:  # fmt: skip
    """Gradients of `forward`'s results to those of x, a, scale (C,) and offset (C,); `back` inverts `order`."""
    dx, da = empty_images(x, x.shape[1]), empty_images(x, a.shape[1])
    workers = kernels.use_workers(torch.get_num_threads())
    sums = np.zeros((2, workers, x.shape[1]), np.float32)
    kernels.backward(
        workers,
        _array(x), _array(a.float()), _array(z), _vector(scale), _vector(back), *_numbers(limits),
        _array(dz), _vector(dlog_det), _array(dseen.float()), _array(dx), _array(da), *sums,
    )  # fmt: skip
    dscale, doffset = (torch.from_numpy(s.sum(axis=0)) for s in sums)
    return dx, da.to(a.dtype), None, dscale, doffset


def _array(x: Tensor) -> NDArray[np.float32]:
    return rows_of(x.detach()).numpy()


def _vector(x: Tensor) -> NDArray[Any]:
    return x.detach().contiguous().view(-1).numpy()


def _numbers(limits: Limits) -> tuple[int, int, np.float32, np.float32, int]:
    return limits.kept_at, limits.changed_at, np.float32(limits.clamp), np.float32(limits.clip), limits.seen_at
