"""One step of the optimiser, within the memory there is."""

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastflow.graphs import GraphedGradients, GraphedUpdate
from fastflow.model import FastFlow
from fastflow.precision import in_bfloat16

# What a micro-batch may take where no size is given. On CPUs, larger ones are also slower: their tensors exceed what
# the C library's allocator keeps (32 MiB), and are given back and cleared at each use.
ACTIVATION_BYTES = 2**30
GPU_MEMORY_DIVISOR = 4
_KEPT_PER_COUPLING = 4  # tensors as large as its features that a coupling keeps for the backward pass, about
Gradients = Callable[[list[Tensor], float], float]
log = logging.getLogger(__name__)


class OptimizerStep:
    """One step of the optimiser on a batch's features; returns the mean loss."""

    def __init__(
        self,
        model: FastFlow,
        optimizer: torch.optim.Optimizer,
        *,
        precision: str,
        micro_batch: int | None,
        graphs: bool = True,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.device = model.mean.device
        self.bfloat16 = in_bfloat16(precision, self.device)
        self.micro_batch = micro_batch or fitting_micro_batch(model)
        self.gradients: Gradients = self._gradients
        self.update: Callable[[], object] = optimizer.step
        self.graphs = graphs and self.device.type == "cuda"
        if self.graphs:
            self.gradients = GraphedGradients(self._loss, optimizer.param_groups[0]["params"])
            self.update = GraphedUpdate(optimizer)

    def __call__(self, features: list[Tensor]) -> float:
        with torch.cuda.device_of(self.model.mean):  # graphs are recorded on the current GPU, of several
            return self._step(features)

    def _step(self, features: list[Tensor]) -> float:
        while True:
            try:
                loss = self._accumulate(features)
                break
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or self.micro_batch == 1:
                    raise
                self.micro_batch = max(1, min(self.micro_batch, len(features[0])) // 2)
                log.warning("out of memory: continuing with %d images at once", self.micro_batch)
        if math.isfinite(loss):  # else the weights stay as they were, to find the images it came from
            self.update()
        return loss

    def _accumulate(self, features: list[Tensor]) -> float:
        self.optimizer.zero_grad(set_to_none=not self.graphs)  # graphs know gradients by their memory
        count = len(features[0])
        micro_batches = zip(*(f.split(self.micro_batch) for f in features), strict=True)
        return sum(self.gradients(list(parts), len(parts[0]) / count) for parts in micro_batches)

    def _gradients(self, features: list[Tensor], share: float) -> float:
        loss = self._loss(features) * share
        loss.backward()
        return loss.item()

    def _loss(self, features: list[Tensor]) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            return self.model.loss(features)


def adam(model: FastFlow, *, learning_rate: float, weight_decay: float) -> torch.optim.Adam:
    """Adam of all that is trained. On a GPU it can be part of a graph: its rate is a tensor there."""
    on_gpu = model.mean.device.type == "cuda"
    if on_gpu:
        model.flows.to(memory_format=torch.channels_last)  # as convolutions want weights, and give gradients
    return torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad],
        lr=torch.tensor(learning_rate, device=model.mean.device) if on_gpu else learning_rate,
        weight_decay=weight_decay,
        fused=True,
        capturable=on_gpu,
    )


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the learning rate where the optimiser, or a graph of it, reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate


def fitting_micro_batch(model: FastFlow) -> int:
    """How many images ACTIVATION_BYTES, or a quarter of a GPU, hold, by a count of what their couplings keep."""
    sizes = zip(model.backbone.channels, model.backbone.feature_sizes, strict=True)
    values = sum(channels * height * width for channels, (height, width) in sizes)
    kept = 4 * values * _KEPT_PER_COUPLING * model.config.flow_steps * model.config.couplings
    device = model.mean.device
    gpu = torch.cuda.get_device_properties(device).total_memory // GPU_MEMORY_DIVISOR if device.type == "cuda" else 0
    return max(1, max(ACTIVATION_BYTES, gpu) // kept)


def _out_of_memory(error: BaseException) -> bool:
    """Of the GPU, or of the host: PyTorch's allocator for CPUs has only a message for it."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
