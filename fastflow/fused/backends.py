"""Which kernels a tensor's processor can run: numba's on a CPU, Triton's on an NVIDIA GPU, none elsewhere."""

import importlib.util
import logging
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

LIBRARIES = {"cpu": "numba", "cuda": "triton"}  # Triton comes with PyTorch where there are GPUs
log = logging.getLogger(__name__)


def backend_for(x: Tensor) -> ModuleType | None:
    """The module whose `forward` and `backward` can take x; None where only the definition can."""
    return _backend(x.device.type) if x.dtype == torch.float32 else None


@cache
def _backend(device_type: str) -> ModuleType | None:
    if device_type not in LIBRARIES or not _is_here(LIBRARIES[device_type]):
        return None
    if device_type == "cpu":
        from fastflow.fused import cpu

        return cpu
    try:
        from fastflow.fused import gpu

        gpu.try_out()
    except Exception as error:  # Triton builds a small C module once, and raises many kinds of errors where it cannot
        log.warning("the flow runs without its fused kernels, more slowly: Triton failed (%s)", error)
        return None
    return gpu


def _is_here(library: str) -> bool:
    return importlib.util.find_spec(library) is not None
