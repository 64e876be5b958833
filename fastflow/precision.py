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
