"""A coupling's elementwise parts on a GPU: tensors to `fastflow.fused.gpu_kernels`. The functions are as in
`fastflow.fused.cpu`, which documents them.
"""

from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fastflow.flow import SUBNET_GAIN
from fastflow.fused import gpu_kernels as kernels
from fastflow.fused.rows import Limits, empty_images, rows_of

# Positions x channels that a program takes at once, and its warps; the best of those tried on an H200.
FORWARD = {"values": 256, "num_warps": 1}
BACKWARD = {"values": 512, "num_warps": 4}
PROGRAMS_PER_PROCESSOR = 4  # of a backward pass


class _BiasReLU(torch.autograd.Function):
    """relu(h + bias) of channels-last h (B, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, bias: Tensor) -> Tensor:
        out = empty_images(h, h.shape[1], h.dtype)
        kernels.bias_relu[(triton.cdiv(h.numel(), 1024),)](
            rows_of(h), bias, rows_of(out), h.numel(), CHANNELS=h.shape[1], BLOCK=1024
        )
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor, Tensor]:
        (out,) = ctx.saved_tensors
        dh, channels = empty_images(out, out.shape[1], out.dtype), out.shape[1]
        padded, rows = triton.next_power_of_2(channels), out.numel() // channels
        block = max(1, BACKWARD["values"] // padded)
        programs = _programs(rows, block, out.device)
        sums = torch.empty(programs, channels, device=out.device)
        kernels.bias_relu_backward[(programs,)](
            rows_of(out), rows_of(dout), rows_of(dh), sums, rows, CHANNELS=channels, PADDED=padded, BLOCK=block
        )
        return dh, sums.sum(dim=0)


def subnet(net: nn.Sequential, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The subnet's output before its last bias, and that bias."""
    first, _, last = net
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    assert first.bias is not None
    assert last.bias is not None
    h = functional.conv2d(seen, first.weight, padding=first.padding)
    return functional.conv2d(_BiasReLU.apply(h, first.bias), last.weight, padding=last.padding), last.bias


def forward(
    x: Tensor, a: Tensor, bias: Tensor, before: Tensor, scale: Tensor, offset: Tensor, order: Tensor, limits: Limits
) -> tuple[Tensor, Tensor, Tensor]:
    """As `fastflow.fused.cpu.forward`; `seen` is of the type of `a`, ready for the next convolution."""
    z, seen = empty_images(x, x.shape[1]), empty_images(x, limits.seen, a.dtype)
    log_det = torch.empty(before.shape, dtype=torch.float32, device=x.device)
    rows, numbers = log_det.numel(), _numbers(x, a, limits, FORWARD)
    kernels.forward[(triton.cdiv(rows, numbers["BLOCK"]),)](
        rows_of(x), rows_of(a), bias, before.contiguous(), scale.contiguous(), offset.contiguous(), order.contiguous(),
        rows_of(z), log_det, rows_of(seen), rows, limits.clamp, limits.clip, **numbers,
    )  # fmt: skip
    return z, log_det, seen


def backward(
    x: Tensor, a: Tensor, bias: Tensor, z: Tensor, scale: Tensor, back: Tensor, limits: Limits,
    dz: Tensor, dlog_det: Tensor, dseen: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """As `fastflow.fused.cpu.backward`."""
    dx, da = empty_images(x, x.shape[1]), empty_images(x, a.shape[1], a.dtype)
    rows, numbers = dlog_det.numel(), _numbers(x, a, limits, BACKWARD)
    programs = _programs(rows, numbers["BLOCK"], x.device)
    sums = torch.empty(programs, 3, x.shape[1], device=x.device)
    kernels.backward[(programs,)](
        rows_of(x), rows_of(a), bias, rows_of(z), scale.contiguous(), back.contiguous(),
        rows_of(dz), dlog_det.contiguous(), rows_of(dseen), rows_of(dx), rows_of(da), sums,
        rows, limits.clamp, limits.clip, **numbers,
    )  # fmt: skip
    dscale, doffset, draw = sums.sum(dim=0).unbind()
    changed = slice(limits.changed_at, limits.changed_at + a.shape[1] // 2)
    dshift = doffset[changed] * scale.view(-1)[changed] * SUBNET_GAIN
    return dx, da, torch.cat([draw[changed], dshift]), dscale, doffset


def try_out() -> None:
    """Runs a kernel on one position. Raises whatever Triton raises where it cannot build or load it."""
    x = torch.zeros(1, 2, 1, 1, device="cuda")
    one, order = torch.ones(2, device="cuda"), torch.arange(2, device="cuda")
    forward(x, x, one, one[:1].view(1, 1, 1), one, one, order, Limits(0, 1, 2.0, 3.0, 0, 1))


def _numbers(x: Tensor, a: Tensor, limits: Limits, work: dict[str, int]) -> dict[str, int]:
    """The constants that a kernel is compiled for."""
    padded = triton.next_power_of_2(x.shape[1])
    return {
        "CHANNELS": x.shape[1],
        "CHANGED_AT": limits.changed_at,
        "CHANGED": a.shape[1] // 2,
        "SEEN_AT": limits.seen_at,
        "SEEN": limits.seen,
        "PADDED": padded,
        "BLOCK": max(1, work["values"] // padded),
        "num_warps": work["num_warps"],
    }


def _programs(rows: int, block: int, device: torch.device) -> int:
    processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    return min(-(-rows // block), PROGRAMS_PER_PROCESSOR * processors)
