"""Noise while training: how much, from good images alone, and what it does to the density that is learnt."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fastflow.fit import FINAL, Hooks, Progress, fit
from fastflow.model import FastFlow
from fastflow.noise import NOISE_LEVELS_SD, exceedance, noise_levels
from fastflow.train import Training, calibrate
from tests.conftest import tiny_config

SETTINGS = {"epochs": 2, "batch_size": 4, "learning_rate": 0.004, "weight_decay": 0.0, "seed": 1}


@pytest.mark.parametrize(
    ("share", "level"),
    [(0.0, 0.1), (0.01, 0.1), (0.035, 0.1), (0.036, 0.2), (0.07, 0.2), (0.071, 0.5), (0.9, 0.5), (1.0, 0.5)],
)
def test_the_level_grows_with_the_share_of_unseen_positions(share: float, level: float) -> None:
    assert noise_levels([share, 0.0]) == (level, NOISE_LEVELS_SD[0])


@pytest.mark.parametrize("share", [math.nan, -0.01, 1.01, math.inf])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        noise_levels([0.01, share])


def test_the_exceedance_is_the_share_above_the_training_quantile(tiny_model: FastFlow) -> None:
    """The same against numpy's, for images like those of the training and for others, ten times as far out."""
    alike = [torch.randn(8, 64, 16, 16), torch.randn(8, 128, 8, 8)]
    calibrate(tiny_model, alike, batch_size=4)
    rows = torch.tensor([1, 4, 6])
    for factor in (1.0, 1.05, 10.0):
        features = [f * factor for f in alike]
        found = exceedance(tiny_model, features, rows, batch_size=2)
        with torch.no_grad():
            latents = tiny_model.latents([f[rows] for f in features])
        for scale, (z, log_det) in enumerate(latents):
            channels = z.shape[1]
            raw = z.double().square().mean(1) / 2 + math.log(2 * math.pi) / 2 - 0.5 * log_det.double() / channels
            expected = float(np.mean(raw.numpy() > float(tiny_model.normal_center[scale])))
            assert found[scale] == pytest.approx(expected, abs=2e-3)
    assert found == [1.0, 1.0]


def loss_of(scale: float, *, noise: float) -> float:
    """Bits per dimension of a flow trained on features that vary in a plane alone, on the plane's own points."""
    torch.manual_seed(0)
    model = FastFlow(tiny_config(layers=(2,), flow_steps=2))
    flat = torch.randn(16, 1, 8, 8).expand(16, 128, 8, 8).contiguous() * scale  # all channels equal: no density
    training = Training(model, torch.arange(16), **SETTINGS | {"epochs": 10}, noise=[noise])  # type: ignore[arg-type]
    list(training.run([flat]))
    with torch.no_grad():
        return float(model.loss([flat]))


def test_noise_bounds_a_density_that_would_grow_without_end() -> None:
    """On a plane the likelihood has no maximum: more training, more of it. With noise the density's entropy is at least
    the noise's own, log2(sd * sqrt(2 pi e)) bits for each of the directions across the plane."""
    assert loss_of(1.0, noise=0.5) > loss_of(1.0, noise=0.0) + 0.1


@pytest.fixture
def features() -> list[Tensor]:
    return [torch.randn(6, 64, 16, 16), torch.randn(6, 128, 8, 8)]


def trainings_of(model: FastFlow, features: list[Tensor], **changes: object) -> tuple[dict[int, list[float]], object]:
    seen: dict[int, list[float]] = {}

    def on_start(fold: int, training: Training) -> None:
        seen[fold] = list(training.noise)

    left: list[float] = []

    def on_epoch(progress: Progress) -> None:
        left.append(progress.seconds_left)

    settings = {"folds": 2, "inference_batch": 4, "noise": "auto"} | SETTINGS | changes
    found = fit(model, features, hooks=Hooks(on_start=on_start, on_epoch=on_epoch), **settings)  # type: ignore[arg-type]
    assert left[-1] == 0
    assert all(seconds >= 0 for seconds in left)
    return seen, found


def test_folds_come_first_and_again_where_a_scale_needs_more(
    tiny_model: FastFlow, features: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([[0.01, 0.2], [0.03, 0.06]])
    monkeypatch.setattr("fastflow.fit.exceedance", lambda *_, **__: next(shares, [0.0, 0.0]))
    seen, found = trainings_of(tiny_model, features)
    low, needed = [0.1, 0.1], [0.1, 0.5]  # mean shares .02 and .13
    assert list(seen.items()) == [(1, low), (2, low), (3, needed), (4, needed), (FINAL, needed)]
    assert found.noise == (0.1, 0.5)  # type: ignore[attr-defined]


def test_folds_that_need_no_more_are_trained_once(
    tiny_model: FastFlow, features: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastflow.fit.exceedance", lambda *_, **__: [0.01, 0.01])
    seen, _ = trainings_of(tiny_model, features)
    assert list(seen) == [1, 2, FINAL]
    assert trainings_of(tiny_model, features, noise=0.3)[0] == {1: [0.3, 0.3], 2: [0.3, 0.3], FINAL: [0.3, 0.3]}
    assert trainings_of(tiny_model, features, folds=None)[0] == {FINAL: [0.1, 0.1]}


def test_noise_is_drawn_anew_at_each_step_and_resumed_with_the_same_bits(features: list[Tensor]) -> None:
    fresh = FastFlow(tiny_config(flow_steps=1))

    def training(model: FastFlow) -> Training:
        return Training(model, torch.arange(6), **SETTINGS, noise=[0.1, 0.5])  # type: ignore[arg-type]

    whole = copy.deepcopy(fresh)
    list(training(whole).run(features))
    first = training(copy.deepcopy(fresh))
    next(first.run(features))
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    again = copy.deepcopy(fresh)
    second = training(again)
    second.restore(state)
    list(second.run(features))
    for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    other = copy.deepcopy(fresh)
    third = training(other)
    third.restore(state | {"noise_generator": torch.Generator().manual_seed(9).get_state()})
    list(third.run(features))
    assert not torch.equal(next(other.flows.parameters()), next(whole.flows.parameters()))
