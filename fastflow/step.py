"""One step of the optimiser, within the memory there is."""

import logging
import math

import torch
from torch import Tensor

from fastflow.model import FastFlow
from fastflow.precision import in_bfloat16

# What a micro-batch may take where no size is given. On CPUs, larger ones are also slower: their tensors exceed what
# the C library's allocator keeps (32 MiB), and are given back and cleared at each use.
ACTIVATION_BYTES = 2**30
GPU_SHARE = 4
_KEPT_PER_COUPLING = 4  # tensors as large as its features that a coupling keeps for the backward pass, about
log = logging.getLogger(__name__)


class OptimizerStep:
    """One step of the optimiser on a batch's features; returns the mean loss."""

    def __init__(
        self, model: FastFlow, optimizer: torch.optim.Optimizer, *, precision: str, micro_batch: int | None
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.device = model.mean.device
        self.bfloat16 = in_bfloat16(precision, self.device)
        self.micro_batch = micro_batch or fitting_micro_batch(model)

    def __call__(self, features: list[Tensor]) -> float:
        while True:
            try:
                loss = self._accumulate(features)
                break
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or self.micro_batch == 1:
                    raise
                self.micro_batch = max(1, min(self.micro_batch, len(features[0])) // 2)
                log.warning("out of memory: going on with %d images at once", self.micro_batch)
        if math.isfinite(loss):  # else the weights stay as they were, to tell which images it came from
            self.optimizer.step()
        return loss

    def _accumulate(self, features: list[Tensor]) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        count, total = len(features[0]), 0.0
        for parts in zip(*(f.split(self.micro_batch) for f in features), strict=True):
            share = len(parts[0]) / count
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = self.model.loss(list(parts)) * share
            loss.backward()
            total += loss.item()
        return total


def fitting_micro_batch(model: FastFlow) -> int:
    """How many images ACTIVATION_BYTES, or a quarter of a GPU, hold, by a count of what their couplings keep."""
    sizes = zip(model.backbone.channels, model.backbone.feature_sizes, strict=True)
    values = sum(channels * height * width for channels, (height, width) in sizes)
    kept = 4 * values * _KEPT_PER_COUPLING * model.config.flow_steps * model.config.couplings
    device = model.mean.device
    gpu = torch.cuda.get_device_properties(device).total_memory // GPU_SHARE if device.type == "cuda" else 0
    return max(1, max(ACTIVATION_BYTES, gpu) // kept)


def _out_of_memory(error: BaseException) -> bool:
    """Of the GPU, or of the host: PyTorch's allocator for CPUs says so in words alone."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
