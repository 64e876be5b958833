"""What the flow's convolutions are computed in while training; all else, and every score, stays float32."""

import torch

PRECISIONS = ("auto", "fp32", "bf16")


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether convolutions are to be in bfloat16: `auto` where the processor multiplies it by itself.

    Raises:
        ValueError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; allowed: {', '.join(PRECISIONS)}")
    return precision == "bf16" or (precision == "auto" and _multiplies_bfloat16(device))


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def exact_float32() -> None:
    """For this process: GPUs compute float32 as CPUs do, within rounding, and give the same bits twice.

    By default their convolutions cut float32 to TF32's 10 bits of mantissa, and a threshold that a GPU found would
    not be the CPU's that serves the model."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
