"""Where tensors live, and how much memory they took."""

import resource
import sys

import torch


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises ValueError if a GPU is asked for that is not there."""
    count, index = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and index >= count:
        raise ValueError(f"params.yaml: device is {name!r}, but this machine has {count} usable GPUs; use auto or cpu")
    return torch.device(("cuda" if count else "cpu") if name == "auto" else name)


def peak_memory(device: torch.device) -> dict[str, float]:
    """The most memory that this process has held so far, MiB: resident, and on the GPU where one is used."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on a Mac, KiB elsewhere
    peak = {"peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}
    if device.type == "cuda":
        peak["peak_gpu_memory_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak
