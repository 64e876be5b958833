"""The fused kernels against the readable definition: values, every gradient, and what must stay NaN.

Those for GPUs run on one where there is one, and interpreted elsewhere.
"""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from fastflow.flow import Flow
from fastflow.fused import backends, coupling, cpu, cpu_kernels, gpu
from tests.conftest import shake

GPU = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BACKENDS = {"cpu": (cpu, torch.device("cpu")), "gpu": (gpu, GPU)}
CASES = [
    case
    for case in itertools.product(("cpu", "gpu"), (2, 7, 64), (1, 2), (None, 0.5), (1, 3))
    if case[0] == "cpu" or GPU.type == "cuda" or case[1] * case[4] < 64  # interpreted ones take seconds
]


def flow_of(channels: int, couplings: int, clip: float | None, *, steps: int = 3) -> Flow:
    flow = Flow(
        channels, flow_steps=steps, hidden_ratio=1.0, conv3x3_only=False, couplings=couplings, conditioner_clip=clip
    )
    shake(flow, scale=0.1 if channels > 10 else 0.5)
    return flow


def results(forward: object, flow: Flow, x: Tensor) -> list[Tensor]:
    """z, log-determinant, and the gradients of a loss that weighs each position differently."""
    flow.zero_grad()
    x = x.clone().requires_grad_()
    z, log_det = forward(flow, x)  # type: ignore[operator]
    weights = torch.linspace(0.5, 2, log_det.numel(), device=x.device).view_as(log_det)
    ((z.square().mean(dim=1) - log_det) * weights).sum().backward()
    assert x.grad is not None
    return [z.detach(), log_det.detach(), x.grad, *(p.grad for p in flow.parameters() if p.grad is not None)]


@pytest.fixture
def device(backend: str, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Where the kernels under test run, with exact convolutions."""
    module, device = BACKENDS[backend]
    monkeypatch.setattr(coupling, "backend_for", lambda x: module)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return device


@pytest.mark.parametrize(("backend", "channels", "couplings", "clip", "batch"), CASES)
def test_fused_equals_the_definition_forward_and_backward(
    channels: int, couplings: int, clip: float | None, batch: int, device: torch.device
) -> None:
    flow = flow_of(channels, couplings, clip)
    x = torch.randn(batch, channels, 5, 4)
    truth = Flow(
        channels, flow_steps=3, hidden_ratio=1.0, conv3x3_only=False, couplings=couplings, conditioner_clip=clip
    ).double()
    truth.load_state_dict(flow.state_dict())
    expected = results(Flow.forward_positions, truth, x.double())
    rounded = results(Flow.forward_positions, flow.to(device), x.to(device))
    found = results(coupling.forward_positions, flow, x.to(device))
    assert len(found) == len(expected) == 3 + len(list(flow.parameters()))
    assert expected[1].abs().max() > 0.1, "too near 0 to prove anything"
    for got, wanted, plain in zip(found, expected, rounded, strict=True):
        size = wanted.norm() + 1e-3  # a clipped subnet may have no gradient at all
        error, unavoidable = ((t.cpu() - wanted).norm() / size for t in (got, plain))
        assert error < 5e-6 + 3 * unavoidable, f"relative error {error} of a tensor {tuple(got.shape)}"


def test_the_fused_loop_was_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the definition was asked")

    monkeypatch.setattr(Flow, "forward_positions", refuse)
    coupling.forward_positions(flow_of(6, 1, 3.0), torch.randn(1, 6, 4, 4))
    with pytest.raises(AssertionError, match="the definition"):  # float64 is not for the kernels
        coupling.forward_positions(flow_of(6, 1, 3.0).double(), torch.randn(1, 6, 4, 4).double())
    monkeypatch.setattr(backends, "_is_here", lambda library: False)
    backends._backend.cache_clear()
    with pytest.raises(AssertionError, match="the definition"):
        coupling.forward_positions(flow_of(6, 1, 3.0), torch.randn(1, 6, 4, 4))
    backends._backend.cache_clear()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["stray stride", "channels first", "expanded"])
def test_any_memory_layout_gives_the_same(layout: str, device: torch.device) -> None:
    """Tokens of a transformer, seen as images, carry a stray stride at batch 1."""
    flow = flow_of(6, 1, 3.0).to(device)
    x = torch.randn(1, 12, 6, device=device)
    image = x.permute(0, 2, 1).reshape(1, 6, 3, 4)
    same = {
        "stray stride": torch.cat([x, x])[::2].transpose(1, 2).unflatten(2, (3, 4)),
        "channels first": image.contiguous(),
        "expanded": image.expand(2, 6, 3, 4),
    }[layout]
    z, log_det = coupling.forward_positions(flow, same)
    expected, expected_log_det = flow.forward_positions(image)
    torch.testing.assert_close(z, expected.expand_as(z), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_det, expected_log_det.expand_as(log_det), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_only_the_rounding(threads: int) -> None:
    flow, x = flow_of(7, 2, 1.0), torch.randn(2, 7, 5, 3)
    expected = results(Flow.forward_positions, flow, x)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = results(coupling.forward_positions, flow, x)
        again = results(coupling.forward_positions, flow, x)
    finally:
        torch.set_num_threads(before)
    for got, wanted, second in zip(found, expected, again, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(got, second), "one number of threads, one result"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30])
def test_what_is_not_finite_stays_so(value: float, device: torch.device) -> None:
    flow, x = flow_of(6, 1, 3.0).to(device), torch.randn(1, 6, 4, 4, device=device)
    x[0, 5, 2, 2] = value  # a transformed channel
    z, log_det = coupling.forward_positions(flow, x)
    loss = z.square().sum() - log_det.sum()
    assert not torch.isfinite(loss)


def test_exp_and_tanh_are_those_of_float64() -> None:
    x = np.concatenate([np.linspace(-12, 12, 20001), np.logspace(-8, 0, 500)]).astype(np.float32)
    for ours, reference in ((cpu_kernels._exp, np.exp), (cpu_kernels._tanh, np.tanh)):
        expected = reference(x.astype(np.float64))
        found = np.array([ours(v) for v in x])
        scale = np.maximum(np.abs(expected), 1e-30)
        assert (np.abs(found - expected) / scale).max() < 6e-7
