"""The flow against autograd's Jacobian, FrEIA, and the definition of a density."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastflow.flow import Coupling, Flow, FlowStep, subnet
from tests.conftest import shake

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from FrEIA.modules import AllInOneBlock


def jacobian_log_det(forward: nn.Module, x: Tensor) -> Tensor:
    matrix = torch.autograd.functional.jacobian(lambda v: forward(v)[0].flatten(), x)
    return torch.linalg.slogdet(matrix.reshape(x.numel(), x.numel())).logabsdet  # type: ignore[no-any-return]


class AsModule(nn.Module):
    """A step's `forward_positions` as a forward."""

    def __init__(self, step: FlowStep) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, positions = self.step.forward_positions(x)
        return z, positions.sum(dim=(1, 2))


@pytest.mark.parametrize("channels", [4, 5])
@pytest.mark.parametrize("couplings", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_step_log_det_is_that_of_autograds_jacobian(channels: int, couplings: int, kernel_size: int) -> None:
    step = FlowStep(channels, hidden_ratio=1.0, kernel_size=kernel_size, couplings=couplings).double()
    shake(step)
    x = torch.randn(1, channels, 4, 3, dtype=torch.float64)
    expected = jacobian_log_det(AsModule(step), x)
    assert expected.abs() > 0.1, "too near 0 to prove anything"
    torch.testing.assert_close(AsModule(step)(x)[1][0], expected)


@pytest.mark.parametrize("couplings", [1, 2])
def test_flow_log_det_is_that_of_autograds_jacobian(couplings: int) -> None:
    flow = Flow(4, flow_steps=4, hidden_ratio=2.0, conv3x3_only=False, couplings=couplings).double()
    shake(flow)
    x = torch.randn(1, 4, 3, 4, dtype=torch.float64)
    expected = jacobian_log_det(flow, x)
    assert expected.abs() > 0.1, "too near 0 to prove anything"
    torch.testing.assert_close(flow(x)[1][0], expected)


def test_positions_sum_to_the_images_log_det_and_differ_from_each_other() -> None:
    flow = Flow(6, flow_steps=3, hidden_ratio=1.0, conv3x3_only=True)
    shake(flow)
    x = torch.randn(2, 6, 5, 4)
    z, positions = flow.forward_positions(x)
    assert positions.shape == (2, 5, 4)
    assert positions.std() > 0.01
    torch.testing.assert_close(flow(x)[1], positions.sum(dim=(1, 2)))
    torch.testing.assert_close(flow(x)[0], z)


@pytest.mark.parametrize("couplings", [1, 2])
@pytest.mark.parametrize("channels", [2, 7])
def test_inverse_undoes_forward_and_its_log_det(channels: int, couplings: int) -> None:
    flow = Flow(channels, flow_steps=5, hidden_ratio=1.0, conv3x3_only=False, couplings=couplings).double()
    shake(flow)
    x = torch.randn(3, channels, 6, 5, dtype=torch.float64)
    z, log_det_jacobian = flow(x)
    back, inverse_log_det = flow.inverse(z)
    assert (z - x).abs().max() > 0.1
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(inverse_log_det, -log_det_jacobian)


@pytest.mark.parametrize(("channels", "kernel_size"), [(6, 3), (7, 1)])
def test_step_equals_freias_block_for_equal_weights(channels: int, kernel_size: int) -> None:
    def make(inputs: int, outputs: int) -> nn.Module:
        return subnet(inputs, outputs, hidden_ratio=1.0, kernel_size=kernel_size)

    reference = AllInOneBlock([(channels, 8, 8)], subnet_constructor=make, affine_clamping=2.0, permute_soft=False)
    step = FlowStep(channels, hidden_ratio=1.0, kernel_size=kernel_size)
    torch.testing.assert_close(step.global_scale, reference.global_scale)  # equal initialisation
    shake(reference)
    coupling = step.couplings[0]
    assert isinstance(coupling, Coupling)
    coupling.subnet.load_state_dict(reference.subnet.state_dict())
    step.load_state_dict(
        {"global_scale": reference.global_scale, "global_offset": reference.global_offset}, strict=False
    )
    with torch.no_grad():  # shake moved the fixed permutation, too: make it one again
        order = torch.randperm(channels)
        reference.w_perm.copy_(torch.eye(channels)[order][..., None, None])
        step.permutation.copy_(order)
    x = torch.randn(2, channels, 8, 8)
    (expected,), expected_log_det = reference([x])
    z, positions = step.forward_positions(x)
    torch.testing.assert_close(z, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(positions.sum(dim=(1, 2)), expected_log_det, rtol=1e-5, atol=1e-4)


def test_density_of_a_two_channel_flow_integrates_to_one() -> None:
    flow = Flow(2, flow_steps=4, hidden_ratio=8.0, conv3x3_only=False).double()
    shake(flow, scale=0.5)
    side = np.linspace(-30, 30, 1201)
    grid = torch.tensor(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2, 1, 1))
    with torch.no_grad():
        z, log_det_jacobian = flow(grid)
    log_density = -z.square().sum(dim=(1, 2, 3)) / 2 - math.log(2 * math.pi) + log_det_jacobian
    total = log_density.exp().sum() * (side[1] - side[0]) ** 2
    assert abs(total - 1) < 0.01


def test_permutation_is_in_the_checkpoint_and_no_dense_matrix_is() -> None:
    state = Flow(16, flow_steps=3, hidden_ratio=1.0, conv3x3_only=True).state_dict()
    permutations = [value for key, value in state.items() if key.endswith("permutation")]
    assert len(permutations) == 3
    assert all(sorted(p.tolist()) == list(range(16)) for p in permutations)
    assert not any(value.shape[:2] == (16, 16) for value in state.values())
