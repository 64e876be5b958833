"""The 2D normalizing flow (FastFlow, arXiv 2111.07677, section 3.2): features of one scale to a Gaussian latent.

Legend: B images, C channels, H and W at this scale; x1 conditions, x2 is transformed.
A step is affine coupling, then a global affine (ActNorm), then a fixed permutation of the channels,
with the constants and the initialisation of FrEIA's AllInOneBlock, so that its weights load here.
Every map returns `(z, log_det_jacobian)`: log|det dz/dx| in nats, positive where volume grows.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SUBNET_GAIN = 0.1  # FrEIA's damping of the subnet's output: near identity at the start
_SOFTPLUS_BETA = 0.5


def positive(global_scale: Tensor) -> Tensor:
    """The factor of a global affine that its parameter stands for."""
    return 0.1 * functional.softplus(global_scale, beta=_SOFTPLUS_BETA)


def subnet(in_channels: int, out_channels: int, *, hidden_ratio: float, kernel_size: int) -> nn.Sequential:
    """Conv-ReLU-conv with "same" zero padding; hidden width = int(in_channels * hidden_ratio), at least 1."""
    hidden = max(1, int(in_channels * hidden_ratio))
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, hidden, kernel_size, padding=padding),
        nn.ReLU(),
        nn.Conv2d(hidden, out_channels, kernel_size, padding=padding),
    )


class Coupling(nn.Module):
    """Affine coupling: x2 becomes x2 * exp(s(x1)) + t(x1), with |s| bounded by `clamp` nats (paper, eq. 3).

    `first_conditions` says which half is left alone: the first ceil(C/2) channels, or the others. What the subnet
    sees of it is cut at `conditioner_clip`, so that an outlier moves its neighbours no more than a bounded amount;
    the map stays invertible, as the half itself is untouched.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden_ratio: float,
        kernel_size: int,
        clamp: float = 2.0,
        conditioner_clip: float | None = None,
        first_conditions: bool = True,
    ) -> None:
        super().__init__()
        self.clamp, self.conditioner_clip = clamp, conditioner_clip
        self.sizes = [channels - channels // 2, channels // 2]
        self.first_conditions = first_conditions
        kept, changed = self.sizes if first_conditions else self.sizes[::-1]
        self.subnet = subnet(kept, 2 * changed, hidden_ratio=hidden_ratio, kernel_size=kernel_size)

    @property
    def kept_range(self) -> tuple[int, int]:
        """The first channel of the half that conditions, and how many there are."""
        return (0, self.sizes[0]) if self.first_conditions else (self.sizes[0], self.sizes[1])

    def _scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        if self.conditioner_clip is not None:
            kept = kept.clamp(-self.conditioner_clip, self.conditioner_clip)
        a = self.subnet(kept).to(kept.dtype) * SUBNET_GAIN  # under autocast, convolutions answer in bfloat16
        s, t = a.chunk(2, dim=1)
        return self.clamp * torch.tanh(s), t

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(x, self.sizes, dim=1)
        return (first, second) if self.first_conditions else (second, first)

    def _join(self, kept: Tensor, changed: Tensor) -> Tensor:
        return torch.cat((kept, changed) if self.first_conditions else (changed, kept), dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to the same shape and the log-determinant of each position (B, H, W), nats."""
        kept, changed = self._split(x)
        s, t = self._scale_and_shift(kept)
        return self._join(kept, changed * s.exp() + t), s.sum(dim=1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self._split(z)
        s, t = self._scale_and_shift(kept)
        return self._join(kept, (changed - t) * (-s).exp()), -s.sum(dim=1)


class FlowStep(nn.Module):
    """One step: `couplings` affine couplings on alternating halves, a global affine, a channel permutation."""

    permutation: Tensor

    def __init__(
        self,
        channels: int,
        *,
        hidden_ratio: float,
        kernel_size: int,
        couplings: int = 1,
        clamp: float = 2.0,
        conditioner_clip: float | None = None,
    ) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(
            Coupling(
                channels,
                hidden_ratio=hidden_ratio,
                kernel_size=kernel_size,
                clamp=clamp,
                conditioner_clip=conditioner_clip,
                first_conditions=i % 2 == 0,
            )
            for i in range(couplings)
        )
        # softplus(raw) = 1 at the start; 10 is FrEIA's 1 / 0.1
        raw = math.log(math.exp(_SOFTPLUS_BETA * 10.0) - 1) / _SOFTPLUS_BETA
        self.global_scale = nn.Parameter(torch.full((1, channels, 1, 1), raw))
        self.global_offset = nn.Parameter(torch.zeros(1, channels, 1, 1))
        # drawn once, then part of the checkpoint: another draw would be another model
        self.register_buffer("permutation", torch.randperm(channels))

    def scale(self) -> Tensor:
        """The global affine's positive factor per channel, (1, C, 1, 1)."""
        return positive(self.global_scale)

    def forward_positions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to z of the same shape and the log-determinant of each position (B, H, W), nats."""
        log_det_jacobian: Tensor | int = 0
        for coupling in self.couplings:
            x, log_det = coupling(x)
            log_det_jacobian = log_det_jacobian + log_det
        scale = self.scale()
        z = (x * scale + self.global_offset).index_select(1, self.permutation)
        return z, log_det_jacobian + scale.log().sum()

    def inverse_positions(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse of `forward_positions`; the log-determinant is that of the inverse map."""
        scale = self.scale()
        x = (z.index_select(1, self.permutation.argsort()) - self.global_offset) / scale
        log_det_jacobian: Tensor = -scale.log().sum()
        for coupling in reversed(list(self.couplings)):
            assert isinstance(coupling, Coupling)
            x, log_det = coupling.inverse(x)
            log_det_jacobian = log_det_jacobian + log_det
        return x, log_det_jacobian


class Flow(nn.Module):
    """A chain of `flow_steps` steps over the features of one scale.

    Kernels are 3x3, or 3x3 and 1x1 in turn unless `conv3x3_only` (paper, section 3.2: small backbones use
    3x3 only). Convolutions have no fixed H and W: any feature size fits.
    """

    def __init__(
        self,
        channels: int,
        *,
        flow_steps: int,
        hidden_ratio: float,
        conv3x3_only: bool,
        couplings: int = 1,
        clamp: float = 2.0,
        conditioner_clip: float | None = None,
    ) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            FlowStep(
                channels,
                hidden_ratio=hidden_ratio,
                kernel_size=3 if conv3x3_only or i % 2 == 0 else 1,
                couplings=couplings,
                clamp=clamp,
                conditioner_clip=conditioner_clip,
            )
            for i in range(flow_steps)
        )

    def forward_positions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) to z of the same shape and each position's log-determinant (B, H, W), nats.

        The positions' values sum to the image's `log_det_jacobian`: the Jacobian's determinant is the product
        of all scales, and each scale belongs to one position.
        """
        log_det_jacobian = x.new_zeros(x.shape[0], *x.shape[2:])
        for step in self.steps:
            assert isinstance(step, FlowStep)
            x, log_det = step.forward_positions(x)
            log_det_jacobian = log_det_jacobian + log_det
        return x, log_det_jacobian

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) to z of the same shape and `log_det_jacobian` (B,), nats."""
        z, positions = self.forward_positions(x)
        return z, positions.sum(dim=(1, 2))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, C, H, W) to features of the same shape and the inverse map's `log_det_jacobian` (B,), nats."""
        log_det_jacobian = z.new_zeros(z.shape[0], *z.shape[2:])
        for step in reversed(list(self.steps)):
            assert isinstance(step, FlowStep)
            z, log_det = step.inverse_positions(z)
            log_det_jacobian = log_det_jacobian + log_det
        return z, log_det_jacobian.sum(dim=(1, 2))
