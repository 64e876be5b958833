"""On a GPU: graphs against single launches, bfloat16 against float32, scores against the CPU's, a resumed training."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from fastflow.features import features_of
from fastflow.fused import backends, gpu
from fastflow.model import FastFlow
from fastflow.precision import exact_float32
from fastflow.step import OptimizerStep, adam
from fastflow.train import Training, calibrate
from tests.conftest import tiny_config

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICE = torch.device("cuda")
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 0.003, "weight_decay": 0.0, "seed": 1}


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    exact_float32()
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = before


def model_on(device: torch.device, **changes: object) -> FastFlow:
    torch.manual_seed(0)
    return FastFlow(tiny_config(**changes)).to(device)


def images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def trained(device: torch.device, *, epochs: int = 4, **settings: Any) -> tuple[FastFlow, list[float]]:
    model = model_on(device)
    features = model_on(torch.device("cpu")).extract(images(10))  # the same numbers everywhere
    training = Training(model, torch.arange(10), epochs=epochs, **SETTINGS | settings)
    return model, [epoch.loss for epoch in training.run(features)]


def parameters_of(model: FastFlow) -> Tensor:
    return torch.cat([p.detach().cpu().flatten() for p in model.flows.parameters()])


def test_triton_runs_here_and_is_what_runs() -> None:
    backends._backend.cache_clear()
    assert backends.backend_for(torch.zeros(1, device=DEVICE)) is gpu


@pytest.mark.parametrize("settings", [{}, {"micro_batch": 3}], ids=["whole batches", "micro-batches"])
def test_graphs_train_as_the_cpu_does(settings: dict[str, Any]) -> None:
    """Batches of 4, 4 and 2: several graphs, whose gradients meet in one place."""
    (slow, expected), (fast, found) = trained(torch.device("cpu")), trained(DEVICE, **settings)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert expected[0] - expected[-1] > 0.1, "nothing was learnt"
    moved = (parameters_of(slow) - parameters_of(model_on(torch.device("cpu")))).norm()
    assert (parameters_of(fast) - parameters_of(slow)).norm() < 0.02 * moved


def test_one_seed_gives_the_same_bits_twice() -> None:
    assert torch.equal(*(parameters_of(trained(DEVICE, precision="bf16")[0]) for _ in range(2)))


def test_bfloat16_learns_what_float32_learns() -> None:
    (_, expected), (_, found) = trained(DEVICE, epochs=12), trained(DEVICE, epochs=12, precision="bf16")
    assert found != expected
    assert found == pytest.approx(expected, rel=0.02, abs=0.02)


def test_a_training_taken_up_again_ends_with_the_same_bits() -> None:
    features = [f.to(DEVICE) for f in model_on(DEVICE).extract(images(10).to(DEVICE))]
    rows, settings = torch.arange(10), SETTINGS | {"epochs": 4, "precision": "bf16"}
    whole = model_on(DEVICE)
    list(Training(whole, rows, **settings).run(features))
    first = Training(model_on(DEVICE), rows, **settings)
    kept: list[dict[str, Tensor]] = []

    def keep() -> None:
        if first.step == 5:
            kept.append({name: tensor.clone().cpu().contiguous() for name, tensor in first.state().items()})

    list(first.run(features, on_step=keep))
    again = model_on(DEVICE)
    second = Training(again, rows, **settings)
    second.restore(kept[0])
    list(second.run(features))
    assert torch.equal(parameters_of(again), parameters_of(whole))


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were() -> None:
    model = model_on(DEVICE)
    step = OptimizerStep(model, adam(model, learning_rate=0.1, weight_decay=0.0), precision="bf16", micro_batch=None)
    features = model.extract(images(4).to(DEVICE))
    for _ in range(3):
        step(features)
    before = parameters_of(model)
    assert math.isnan(step([torch.full_like(f, torch.nan) for f in features]))
    assert torch.equal(parameters_of(model), before)
    step(features)
    assert not torch.equal(parameters_of(model), before)
    assert torch.isfinite(parameters_of(model)).all()


def test_scores_are_those_of_the_cpu() -> None:
    model, _ = trained(torch.device("cpu"))
    features = model.extract(images(10))
    calibrate(model, features, batch_size=4)
    expected = model(images(10))
    model.to(DEVICE)
    found = model(images(10).to(DEVICE))
    torch.testing.assert_close(found.pred_score.cpu(), expected.pred_score, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.anomaly_map.cpu(), expected.anomaly_map, rtol=1e-3, atol=1e-5)


def test_memory_that_runs_out_while_a_graph_is_recorded_halves_the_micro_batch() -> None:
    model = model_on(DEVICE)
    step = OptimizerStep(model, adam(model, learning_rate=0.1, weight_decay=0.0), precision="fp32", micro_batch=8)
    loss = model.loss

    def loss_of(features: list[Tensor]) -> Tensor:
        if len(features[0]) > 4:
            torch.empty(2**50, device=DEVICE)
        return loss(features)

    model.loss = loss_of  # type: ignore[method-assign]
    assert step(features_of(model.extract(images(8).to(DEVICE)), slice(0, 8), device=DEVICE)) > 0
    assert step.micro_batch == 4
