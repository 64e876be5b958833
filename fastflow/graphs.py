"""On a GPU, a step as CUDA graphs: some thousand small kernels launched at once, where launching each takes longer.

A graph is recorded once for each number of images, and reads and writes the same memory whenever it is replayed.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Loss = Callable[[list[Tensor]], Tensor]


class _Recorded(NamedTuple):
    graph: torch.cuda.CUDAGraph
    features: list[Tensor]
    loss: Tensor


class GraphedGradients:
    """Adds the gradients of `loss_of(features)`, times a share, to `.grad` of the parameters; returns that loss."""

    def __init__(self, loss_of: Loss, parameters: Sequence[Tensor]) -> None:
        self.loss_of, self.parameters = loss_of, parameters
        self.share = parameters[0].new_ones(())
        self.recorded: dict[int, _Recorded] = {}
        self.memory = torch.cuda.graph_pool_handle()  # of all graphs: never two at once, and none reads another's
        self.sums = [torch.zeros_like(parameter) for parameter in parameters]
        for parameter, gradient in zip(parameters, self.sums, strict=True):
            parameter.grad = gradient

    def __call__(self, features: list[Tensor], share: float) -> float:
        count = len(features[0])
        if count not in self.recorded:
            self.recorded[count] = self._record([f.clone(memory_format=torch.channels_last) for f in features])
        graph, inputs, loss = self.recorded[count]
        self.share.fill_(share)
        for into, part in zip(inputs, features, strict=True):
            into.copy_(part)
        graph.replay()
        return loss.item()

    def _record(self, features: list[Tensor]) -> _Recorded:
        """Kernels must be built and libraries be set up before: a first pass does it, its gradients are not added."""
        main, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            self._gradients(features)
        main.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.memory, capture_error_mode="thread_local"):
            loss, gradients = self._gradients(features)
            torch._foreach_add_(self.sums, gradients)
        return _Recorded(graph, features, loss)

    def _gradients(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        loss = self.loss_of(features) * self.share
        return loss.detach(), list(torch.autograd.grad(loss, self.parameters))


class GraphedUpdate:
    """`optimizer.step()`, from its second call on as a graph. The optimiser must be `capturable`."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if not self.optimizer.state:  # the first call makes it
            self.optimizer.step()
            return
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.optimizer.step()
        self.graph.replay()
