"""One training of the flows on the features of good images: maximum likelihood, a fixed budget, the last epoch counts.

Nothing here sees a test image: no early stopping, no choice between epochs.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastflow.augment import Augmented
from fastflow.errors import NonFiniteLoss
from fastflow.features import features_of
from fastflow.model import FastFlow
from fastflow.padding import inside_of
from fastflow.score import raw_score
from fastflow.step import OptimizerStep, adam, set_rate

WARMUP_STEPS = 10
MIN_EPOCHS, MIN_STEPS = 12, 120


class Epoch(NamedTuple):
    """One pass over the training images: 1-based number, mean loss in bits per dimension, wall seconds."""

    epoch: int
    loss: float
    seconds: float


class Pace:
    """Seconds an image takes, by all epochs so far but the very first, which compiles and warms up: an estimate by the
    last epoch alone would jump with whatever else the machine does."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._here: list[tuple[int, float]] = []
        self._before: list[tuple[int, float]] = []  # of a process before this one, perhaps elsewhere

    def add(self, images: int, seconds: float, *, resumed: bool) -> None:
        (self._before if resumed else self._here).append((images, seconds))
        self.seconds += seconds

    def of(self, images: int) -> float:
        """The seconds that so many will take."""
        measured = self._here[1:] or self._here or self._before
        return images * sum(seconds for _, seconds in measured) / sum(count for count, _ in measured)


class Training:
    """A training in progress: `run` continues it, `state` is all that determines it, `restore` sets that again.

    Adam; the learning rate warms up, then falls along a cosine to 0, so that the last weights are settled ones and
    the last epoch needs no choosing. Images come in an order drawn from `seed`; only those of `rows` (indices) are
    trained on. `micro_batch` is how many images are computed at once: fewer need less memory, and change results by
    rounding alone; by default as many as ACTIVATION_BYTES hold, and half of it where memory runs out. `noise`:
    standard deviations, a scale each, of what is added to the normalised features at each step; none if empty.

    Raises:
        ValueError: an unknown precision.
    """

    def __init__(
        self,
        model: FastFlow,
        rows: Tensor,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        weight_decay: float,
        seed: int,
        precision: str = "fp32",
        micro_batch: int | None = None,
        noise: Sequence[float] = (),
    ) -> None:
        self.model, self.rows, self.epochs, self.batch_size = model, rows, epochs, batch_size
        self.learning_rate = learning_rate
        self.steps = math.ceil(len(rows) / batch_size)
        self.optimizer = adam(model, learning_rate=learning_rate, weight_decay=weight_decay)
        self.parameters: list[Tensor] = self.optimizer.param_groups[0]["params"]
        self.optimizer_step = OptimizerStep(model, self.optimizer, precision=precision, micro_batch=micro_batch)
        self.generator = torch.Generator().manual_seed(seed)
        self.noise = noise
        self.noise_generator = torch.Generator(model.mean.device).manual_seed(seed)
        self.order = rows  # of this epoch
        self.step, self.total = 0, 0.0  # steps done since the start; loss of this epoch so far, summed over its images
        self.done: list[Epoch] = []

    def run(
        self, features: list[Tensor], *, augmented: Augmented | None = None, on_step: Callable[[], None] = lambda: None
    ) -> Iterator[Epoch]:
        """Trains the model in place on features [(N, C_s, h_s, w_s)] and yields after each epoch that is not done yet.

        `augmented` gives each batch's features in the place of `features`; `on_step` is called after each step.

        Raises:
            NonFiniteLoss: the loss of a batch is NaN or infinite.
        """
        device = self.model.mean.device
        while len(self.done) < self.epochs:
            start, first = time.perf_counter(), self.step - len(self.done) * self.steps
            if first == 0:
                self.order, self.total = self.rows[torch.randperm(len(self.rows), generator=self.generator)], 0.0
            for chosen in self.order.split(self.batch_size)[first:]:
                drawn = augmented(chosen, self.generator) if augmented else None
                self._advance(self._noisy(drawn or features_of(features, chosen, device=device)), chosen)
                if self.step % self.steps:
                    on_step()
            self.done.append(Epoch(len(self.done) + 1, self.total / len(self.rows), time.perf_counter() - start))
            yield self.done[-1]
            on_step()

    def _noisy(self, features: list[Tensor]) -> list[Tensor]:
        if not self.noise:
            return features
        return [
            f + sd * torch.randn(f.shape, generator=self.noise_generator, dtype=f.dtype, device=f.device)
            for f, sd in zip(features, self.noise, strict=True)
        ]

    def _advance(self, features: list[Tensor], chosen: Tensor) -> None:
        set_rate(self.optimizer, self.learning_rate * rate_factor(self.step, total=self.epochs * self.steps))
        loss = self.optimizer_step(features)
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                f"the loss is {loss} in epoch {len(self.done) + 1}; lower train.learning_rate "
                f"(now {self.learning_rate})",
                rows=self._non_finite_rows(features, chosen),
            )
        self.step += 1
        self.total += loss * len(chosen)

    @torch.no_grad()
    def _non_finite_rows(self, features: list[Tensor], chosen: Tensor) -> list[int]:
        """The images of a batch whose own loss is not finite, or all of them where the weights are broken."""
        alone = [self.model.loss([f[i : i + 1] for f in features]).item() for i in range(len(chosen))]
        found = [row for row, loss in zip(chosen.tolist(), alone, strict=True) if not math.isfinite(loss)]
        return found or chosen.tolist()

    def state(self) -> dict[str, Tensor]:
        """Weights, optimiser, random state, order and progress, as tensors by name."""
        numbers = torch.tensor([(self.step, self.total, 0), *self.done], dtype=torch.float64)
        tensors = {"numbers": numbers, "order": self.order, "generator": self.generator.get_state()}
        tensors["noise_generator"] = self.noise_generator.get_state()
        for i, parameter in enumerate(self.parameters):
            tensors[f"parameter.{i}"] = parameter.detach()
            for name, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{i}.{name}"] = value
        return tensors

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continues where `state` was taken, with equal settings: from there on every bit is the same."""
        (step, self.total, _), *done = state["numbers"].tolist()
        self.done = [Epoch(int(epoch), loss, seconds) for epoch, loss, seconds in done]
        self.step, self.order = int(step), state["order"]
        self.generator.set_state(state["generator"])
        self.noise_generator.set_state(state["noise_generator"])
        for i, parameter in enumerate(self.parameters):
            parameter.copy_(state[f"parameter.{i}"])
            prefix = f"optimizer.{i}."
            kept = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            for name, value in kept.items():
                self._state_of(parameter, name, value.dtype).copy_(value)

    def _state_of(self, parameter: Tensor, name: str, dtype: torch.dtype) -> Tensor:
        """The optimiser's own tensor: made where it has none yet, in the parameter's memory layout."""
        state: dict[str, Tensor] = self.optimizer.state[parameter]
        if name not in state:
            like = parameter if name != "step" else parameter.new_empty(())
            state[name] = torch.empty_like(like, dtype=dtype)
        return state[name]


def epochs_for(num_images: int, *, batch_size: int, min_steps: int = MIN_STEPS) -> int:
    """Epochs of a training that names none: at least `MIN_EPOCHS`, and `min_steps` batches."""
    return max(MIN_EPOCHS, math.ceil(min_steps / math.ceil(num_images / batch_size)))


def rate_factor(step: int, *, total: int) -> float:
    """The learning rate at a step counted from 0, as a fraction of the highest: warm-up times cosine decay."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * (1 + math.cos(math.pi * step / total)) / 2


@torch.no_grad()
def raw_scores(
    model: FastFlow, features: list[Tensor], rows: Tensor, *, batch_size: int, log_det_weight: float | None = None
) -> list[Tensor]:
    """Each scale's raw scores of all positions of the images `rows` that are not padding, flat, on the CPU.

    `log_det_weight`: of the log-determinant; the score rule's if None.
    """
    weight = model.rule.log_det_weight if log_det_weight is None else log_det_weight
    scales: list[list[Tensor]] = [[] for _ in features]
    for chosen in rows.split(batch_size):
        part = features_of(features, chosen, device=model.mean.device)
        for values, f, (z, log_det) in zip(scales, part, model.latents(part), strict=True):
            raw = raw_score(z, log_det, log_det_weight=weight)
            values.append(raw[inside_of(f)[:, 0]].cpu())
    return [torch.cat(values) for values in scales]


def calibrate(model: FastFlow, features: list[Tensor], *, batch_size: int, rows: Tensor | None = None) -> None:
    """Sets each scale's normal range from the features of good images: 99 % quantile and spread of raw scores.

    `rows`: the indices of the images that count; all if not given.
    """
    rows = torch.arange(len(features[0])) if rows is None else rows
    for scale, raw in enumerate(raw_scores(model, features, rows, batch_size=batch_size)):
        rank = max(1, math.ceil(0.99 * len(raw)))
        model.normal_center[scale] = raw.kthvalue(rank).values
        model.normal_spread[scale] = raw.std().clamp_min(1e-6)
