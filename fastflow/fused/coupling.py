"""The flow of one scale, faster: between a step's convolutions, one kernel instead of some twenty passes over memory.

The definition is `fastflow.flow`; this gives the same results within rounding, and is used where it can be: float32
features on a CPU with numba, or on a GPU with Triton. Features are channels-last in memory here, what convolutions
are fastest with.
"""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastflow.flow import Coupling, Flow, FlowStep, positive
from fastflow.fused.backends import backend_for
from fastflow.fused.rows import Limits, empty_images


def forward_positions(flow: Flow, x: Tensor) -> tuple[Tensor, Tensor]:
    """`flow.forward_positions(x)`, by the fused kernels where they can be used."""
    backend = backend_for(x)
    if backend is None:
        return flow.forward_positions(x)
    with torch.cuda.device_of(x):  # of several GPUs, Triton takes the current one
        return _forward_positions(flow, x, backend)


def _forward_positions(flow: Flow, x: Tensor, backend: ModuleType) -> tuple[Tensor, Tensor]:
    x = x.contiguous(memory_format=torch.channels_last)
    scales, orders = _of_all_steps(flow)
    log_det = scales.log().sum().expand(x.shape[0], *x.shape[2:])
    couplings = list(_couplings(flow))
    seen = _first_seen(couplings[0][1], x)
    offset: Tensor
    affines = zip(scales.unbind(), orders.unbind(), orders.argsort(dim=1).unbind(), strict=True)
    for (step, coupling), following in zip(couplings, [*couplings[1:], None], strict=True):
        a, bias = backend.subnet(coupling.subnet, seen)
        if coupling is step.couplings[-1]:
            scale, order, back = next(affines)
            offset = step.global_offset
        else:  # the affine and the permutation come with the step's last coupling
            scale, offset = x.new_ones(x.shape[1]), x.new_zeros(x.shape[1])
            order = back = torch.arange(x.shape[1], device=x.device)
        limits = _limits(coupling, following[1] if following else None)
        x, log_det, seen = _FusedCoupling.apply(x, a, bias, log_det, scale, offset, order, back, limits, backend)
    return x, log_det


def _of_all_steps(flow: Flow) -> tuple[Tensor, Tensor]:
    """The global affines' factors (S, 1, C, 1, 1) and the permutations (S, C), by few small kernels."""
    steps = [step for step in flow.steps if isinstance(step, FlowStep)]
    return positive(torch.stack([step.global_scale for step in steps])), torch.stack([s.permutation for s in steps])


def _couplings(flow: Flow) -> Iterator[tuple[FlowStep, Coupling]]:
    for step in flow.steps:
        assert isinstance(step, FlowStep)
        for coupling in step.couplings:
            assert isinstance(coupling, Coupling)
            yield step, coupling


def _first_seen(coupling: Coupling, x: Tensor) -> Tensor:
    start, count = coupling.kept_range
    seen = x[:, start : start + count]
    if coupling.conditioner_clip is not None:
        seen = seen.clamp(-coupling.conditioner_clip, coupling.conditioner_clip)
    return seen.contiguous(memory_format=torch.channels_last)


def _limits(coupling: Coupling, following: Coupling | None) -> Limits:
    start, count = coupling.kept_range
    clip = math.inf if coupling.conditioner_clip is None else coupling.conditioner_clip
    seen_at, seen = following.kept_range if following else (0, 0)
    return Limits(start, 0 if start else count, coupling.clamp, clip, seen_at, seen)


class _FusedCoupling(torch.autograd.Function):
    """A coupling whose subnet has given `a`, and may have left `bias` to be added, then scale, offset and permutation.

    Gives z, the log-determinant so far (B, H, W), and the channels that the next coupling sees, cut at its clip.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a: Tensor, bias: Tensor | None, log_det: Tensor, scale: Tensor, offset: Tensor,
        order: Tensor, back: Tensor, limits: Limits, backend: ModuleType,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        z, log_det, seen = backend.forward(x, a, bias, log_det, scale, offset, order, limits)
        ctx.limits, ctx.backend = limits, backend
        ctx.save_for_backward(x, a, bias, z, scale, back)
        ctx.set_materialize_grads(False)
        return z, log_det, seen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor | None, dlog_det: Tensor | None, dseen: Tensor | None) -> tuple[Any, ...]:
        x, a, bias, z, scale, back = ctx.saved_tensors
        dz = torch.zeros_like(z) if dz is None else dz
        dlog_det = z.new_zeros(len(z), *z.shape[2:]) if dlog_det is None else dlog_det
        dseen = empty_images(z, 0, a.dtype) if dseen is None else dseen
        dx, da, dbias, dscale, doffset = ctx.backend.backward(
            x, a, bias, z, scale, back, ctx.limits, dz, dlog_det, dseen
        )
        return dx, da, dbias, dlog_det, dscale.view_as(scale), doffset.view_as(scale), None, None, None, None
