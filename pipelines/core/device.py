"""Where tensors live, and how much memory they took."""

import resource
import sys

import torch

from fastflow.precision import exact_float32


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one, which then computes float32 as a CPU does.

    Raises:
        ValueError: a GPU is asked for that is not there.
    """
    count, index = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and index >= count:
        raise ValueError(f"params.yaml: device is {name!r}, but this machine has {count} usable GPUs; use auto or cpu")
    exact_float32()
    return torch.device(("cuda" if count else "cpu") if name == "auto" else name)


def peak_memory(device: torch.device) -> dict[str, float]:
    """The most memory that this process has held so far, MiB: resident, and on the GPU where one is used."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on a Mac, KiB elsewhere
    peak = {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}
    if device.type == "cuda":
        peak["peak_gpu_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak
