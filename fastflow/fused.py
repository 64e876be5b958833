"""The flow of one scale, faster on a CPU: between a step's convolutions, one native loop instead of some twenty passes.

The definition is `fastflow.flow`; this gives the same results within rounding, and is used where it can be: float32 on
a CPU with numba installed. Features are channels-last in memory here, what convolutions are fastest with.
"""

import importlib.util
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastflow.flow import Coupling, Flow, FlowStep

Rows = NDArray[np.float32]


def forward_positions(flow: Flow, x: Tensor) -> tuple[Tensor, Tensor]:
    """`flow.forward_positions(x)`, by the fused loop where that can be used."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not _numba_is_here():
        return flow.forward_positions(x)
    x = x.contiguous(memory_format=torch.channels_last)
    log_det_jacobian = x.new_zeros(x.shape[0], *x.shape[2:])
    couplings = list(_couplings(flow))
    seen = _first_seen(couplings[0][1], x)
    offset: Tensor
    for (step, coupling), following in zip(couplings, [*couplings[1:], None], strict=True):
        a = coupling.subnet(seen).to(x.dtype)
        sees = following[1].kept_range if following else (0, 0)
        if coupling is step.couplings[-1]:
            scale, offset, order = step.scale(), step.global_offset, step.permutation
            log_det_jacobian = log_det_jacobian + scale.log().sum()
        else:
            scale, offset, order = torch.ones(x.shape[1]), torch.zeros(x.shape[1]), torch.arange(x.shape[1])
        x, log_det, seen = _FusedCoupling.apply(x, a, scale, offset, order, coupling, sees)
        log_det_jacobian = log_det_jacobian + log_det
    return x, log_det_jacobian


def _couplings(flow: Flow) -> Iterator[tuple[FlowStep, Coupling]]:
    for step in flow.steps:
        assert isinstance(step, FlowStep)
        for coupling in step.couplings:
            assert isinstance(coupling, Coupling)
            yield step, coupling


@cache
def _numba_is_here() -> bool:
    return importlib.util.find_spec("numba") is not None


def _first_seen(coupling: Coupling, x: Tensor) -> Tensor:
    start, count = coupling.kept_range
    seen = x[:, start : start + count]
    if coupling.conditioner_clip is not None:
        seen = seen.clamp(-coupling.conditioner_clip, coupling.conditioner_clip)
    return seen.contiguous(memory_format=torch.channels_last)


def _rows(x: Tensor) -> Rows:
    """(B, C, H, W) as (B * H * W, C): a view of channels-last memory, a copy of any other."""
    batch, channels, height, width = x.shape
    flat = x.detach().permute(0, 2, 3, 1).contiguous()
    return flat.view(batch * height * width, channels).numpy()


def _vector(x: Tensor) -> NDArray[Any]:
    return x.detach().contiguous().view(-1).numpy()


def _empty(batch: int, channels: int, height: int, width: int) -> Tensor:
    return torch.empty((batch, channels, height, width), memory_format=torch.channels_last)


class _FusedCoupling(torch.autograd.Function):
    """A coupling whose subnet has given `a`, then scale, offset and permutation. Gives z, the coupling's own
    log-determinant (B, H, W), and the channels that the next coupling sees, cut at its clip."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor, scale: Tensor, offset: Tensor, order: Tensor, coupling: Coupling,
        sees: tuple[int, int],
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        from fastflow import kernels

        batch, channels, height, width = x.shape
        z, seen = _empty(batch, channels, height, width), _empty(batch, sees[1], height, width)
        log_det = torch.empty(batch, height, width)
        ctx.limits = _limits(coupling, sees[0])
        kernels.forward(
            kernels.use_workers(torch.get_num_threads()),
            _rows(x), _rows(a), _vector(scale), _vector(offset), _vector(order), *ctx.limits,
            _rows(z), _vector(log_det), _rows(seen),
        )  # fmt: skip
        ctx.save_for_backward(x, a, z, scale, order)
        ctx.set_materialize_grads(False)
        return z, log_det, seen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor | None, dlog_det: Tensor | None, dseen: Tensor | None) -> tuple[Any, ...]:
        from fastflow import kernels

        x, a, z, scale, order = ctx.saved_tensors
        dz = torch.zeros_like(z) if dz is None else dz
        dlog_det = torch.zeros(len(z), *z.shape[2:]) if dlog_det is None else dlog_det
        dseen = _empty(len(z), 0, *z.shape[2:]) if dseen is None else dseen
        dx, da = _empty(*x.shape), _empty(*a.shape)
        workers = kernels.use_workers(torch.get_num_threads())
        sums = np.zeros((2, workers, x.shape[1]), np.float32)
        kernels.backward(
            workers,
            _rows(x), _rows(a), _rows(z), _vector(scale), _vector(order.argsort()), *ctx.limits,
            _rows(dz), _vector(dlog_det), _rows(dseen), _rows(dx), _rows(da), *sums,
        )  # fmt: skip
        dscale, doffset = (torch.from_numpy(s.sum(axis=0)).view_as(scale) for s in sums)
        return dx, da, dscale, doffset, None, None, None


def _limits(coupling: Coupling, seen_at: int) -> tuple[int, int, np.float32, np.float32, int]:
    """kept_at, changed_at, clamp, clip, seen_at, as the kernels take them."""
    start, count = coupling.kept_range
    clip = math.inf if coupling.conditioner_clip is None else coupling.conditioner_clip
    return start, 0 if start else count, np.float32(coupling.clamp), np.float32(clip), seen_at
