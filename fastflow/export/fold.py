"""A model's parts with all that is constant folded into their convolutions."""

import contextlib
import copy

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from fastflow.backbone import Backbone, channels_first
from fastflow.flow import SUBNET_GAIN, Coupling, Flow, FlowStep


class FoldedCoupling(nn.Module):
    """An affine coupling and the global affine after it: x2 becomes (x2 * e) * exp(s) + t, x1 becomes x1 * c + d.

    e, c, d are the global affine's; its share of t is in the second convolution.
    """

    def __init__(self, coupling: Coupling, scale: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.sizes, self.first_conditions = coupling.sizes, coupling.first_conditions
        self.clamp, self.clip = coupling.clamp, coupling.conditioner_clip
        self.subnet = copy.deepcopy(coupling.subnet)
        kept, changed = self._split(scale)
        kept_offset, changed_offset = self._split(offset)
        self.register_buffer("kept_scale", kept.clone())
        self.register_buffer("kept_offset", kept_offset.clone())
        self.register_buffer("changed_scale", changed.clone())
        count = changed.shape[1]
        gain = torch.full((2 * count,), SUBNET_GAIN)
        gain[count:] *= changed.flatten()
        weight, bias = self.subnet[2].get_parameter("weight"), self.subnet[2].get_parameter("bias")
        weight.mul_(gain.view(-1, 1, 1, 1))
        bias.mul_(gain)
        bias[count:].add_(changed_offset.flatten())

    kept_scale: Tensor
    kept_offset: Tensor
    changed_scale: Tensor

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = torch.split(x, self.sizes, dim=1)
        return (first, second) if self.first_conditions else (second, first)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to the same shape, and s (B, C2, H, W)."""
        kept, changed = self._split(x)
        seen = kept if self.clip is None else kept.clamp(-self.clip, self.clip)
        s, t = self.subnet(seen).chunk(2, dim=1)
        s = self.clamp * torch.tanh(s)
        changed = changed * self.changed_scale * s.exp() + t
        kept = kept * self.kept_scale + self.kept_offset
        return torch.cat((kept, changed) if self.first_conditions else (changed, kept), dim=1), s


class FoldedFlow(nn.Module):
    """A flow's steps, to what its raw score needs: z and, where the score asks for it, the log-determinant."""

    def __init__(self, flow: Flow, *, log_det: bool) -> None:
        super().__init__()
        self.log_det = log_det
        self.couplings = nn.ModuleList()
        constant = torch.zeros(())
        orders: list[Tensor | None] = []
        for step in flow.steps:
            assert isinstance(step, FlowStep)
            scale, offset = step.scale().detach(), step.global_offset.detach()
            constant = constant + scale.log().sum()
            last = len(step.couplings) - 1
            for number, coupling in enumerate(step.couplings):
                assert isinstance(coupling, Coupling)
                ends = number == last
                one, none = torch.ones_like(scale), torch.zeros_like(offset)
                self.couplings.append(FoldedCoupling(coupling, scale if ends else one, offset if ends else none))
                orders.append(step.permutation if ends else None)
        self.orders = [*orders[:-1], None]  # the sum of squares over channels does not ask for their order
        self.register_buffer("constant", constant)

    constant: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to z, its channels in any order, and the log-determinant (B, h, w) or zero."""
        scales: dict[int, Tensor] = {}  # added up by channel: one sum over them costs more than all additions
        for coupling, order in zip(self.couplings, self.orders, strict=True):
            x, s = coupling(x)
            scales[s.shape[1]] = scales[s.shape[1]] + s if s.shape[1] in scales else s
            if order is not None:
                x = x.index_select(1, order)
        if not self.log_det:
            return x, self.constant
        return x, self.constant + torch.stack([s.sum(dim=1) for s in scales.values()]).sum(dim=0)


class FoldedBackbone(nn.Module):
    """A convolutional backbone whose batch norms are in the convolutions before them."""

    def __init__(self, body: nn.Module, *, channels_last: bool) -> None:
        super().__init__()
        self.body, self.channels_last = body, channels_last

    def forward(self, images: Tensor) -> list[Tensor]:
        return [channels_first(f, channels_last=self.channels_last) for f in self.body(images)]


def folded_backbone(backbone: Backbone) -> nn.Module:
    """A copy, its batch norms folded as far as torch.fx can follow the model; a runtime folds what is left."""
    if not backbone.plain_transformer:
        with contextlib.suppress(Exception):  # whatever stops the tracing of a model: it then stays as it is
            return FoldedBackbone(fuse(backbone.body), channels_last=backbone.channels_last)
    return copy.deepcopy(backbone)
