"""Checkpoints of the two known implementations give equal maps here; their layout is rebuilt with FrEIA."""

import math
import warnings

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastflow.convert import convert
from tests.conftest import shake

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from FrEIA.framework import SequenceINN
    from FrEIA.modules import AllInOneBlock

SIZE = 64


class Published(nn.Module):
    """FastFlow as both public implementations build it: names, blocks, trainable layer norm, map of exp(-q)."""

    def __init__(self, *, blocks: str, padded: bool, flow_steps: int, conv3x3_only: bool, hidden_ratio: float) -> None:
        super().__init__()
        self.feature_extractor = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3))
        shapes = [(64, SIZE // 4), (128, SIZE // 8), (256, SIZE // 16)]
        self.norms = nn.ModuleList(nn.LayerNorm([c, s, s]) for c, s in shapes)
        flows = nn.ModuleList()
        for c, s in shapes:
            flow = SequenceINN(c, s, s)
            for i in range(flow_steps):
                kernel = 3 if conv3x3_only or i % 2 == 0 else 1
                flow.append(
                    AllInOneBlock,
                    subnet_constructor=self.subnet(kernel, hidden_ratio, padded=padded),
                    affine_clamping=2.0,
                    permute_soft=False,
                )
            flows.append(flow)
        setattr(self, blocks, flows)
        self.blocks = blocks

    @staticmethod
    def subnet(kernel: int, hidden_ratio: float, *, padded: bool):  # type: ignore[no-untyped-def]
        def make(inputs: int, outputs: int) -> nn.Sequential:
            hidden = int(inputs * hidden_ratio)
            first, second = nn.Conv2d(inputs, hidden, kernel), nn.Conv2d(hidden, outputs, kernel)
            if padded:  # the newer layout: padding as layers of their own shifts the subnet's indices
                pad = nn.ZeroPad2d(kernel // 2)
                return nn.Sequential(pad, first, nn.ReLU(), pad, second)
            first.padding = second.padding = (kernel // 2, kernel // 2)
            return nn.Sequential(first, nn.ReLU(), second)

        return make

    def forward(self, pixels: Tensor) -> Tensor:
        maps = []
        for feature, norm, flow in zip(
            self.feature_extractor(pixels), self.norms, getattr(self, self.blocks), strict=True
        ):
            z, _ = flow(norm(feature))
            score = -torch.exp(-0.5 * torch.mean(z**2, dim=1, keepdim=True))
            maps.append(functional.interpolate(score, size=(SIZE, SIZE), mode="bilinear", align_corners=False))
        return torch.stack(maps, dim=-1).mean(dim=-1)


@pytest.mark.parametrize(
    ("blocks", "prefix", "padded", "conv3x3_only", "hidden_ratio"),
    [
        ("fast_flow_blocks", "model.", False, False, 1.0),  # anomalib 2.7
        ("fast_flow_blocks", "model.", True, True, 1.0),  # anomalib after 2.7
        ("nf_flows", "", False, True, 0.16),  # gathierry/FastFlow
    ],
)
def test_converted_model_gives_equal_maps(
    blocks: str, prefix: str, padded: bool, conv3x3_only: bool, hidden_ratio: float
) -> None:
    published = Published(
        blocks=blocks, padded=padded, flow_steps=3, conv3x3_only=conv3x3_only, hidden_ratio=hidden_ratio
    ).eval()
    shake(published.norms, scale=0.2)
    for name, parameter in published.named_parameters():
        if ".module_list." in name and "w_perm" not in name:
            parameter.data += 0.1 * torch.randn_like(parameter) / math.sqrt(max(1, parameter[0].numel()))
    state = {prefix + key: value for key, value in published.state_dict().items()}
    model = convert(state, preset_name="resnet18", image_size=(SIZE, SIZE))
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    with torch.no_grad():
        expected = published((images / 255 - model.mean) / model.std)
        converted = model(images)
    assert expected.std() > 0.01
    torch.testing.assert_close(converted.anomaly_map, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(converted.pred_score, expected.amax(dim=(1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_foreign_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hold no FastFlow blocks .* the first keys are \['fc\.weight'\]"):
        convert({"fc.weight": torch.ones(2, 2)}, preset_name="resnet18", image_size=(SIZE, SIZE))


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["global_scale", "feature_extractor.conv1.weight"])
def test_tensors_that_are_not_finite_are_refused(name: str, number: float) -> None:
    published = Published(blocks="nf_flows", padded=False, flow_steps=1, conv3x3_only=True, hidden_ratio=1.0)
    state = published.state_dict()
    next(tensor for key, tensor in state.items() if name in key).view(-1)[0] = number
    with pytest.raises(ValueError, match="holds numbers that are not finite"):
        convert(state, preset_name="resnet18", image_size=(SIZE, SIZE))


def test_incomplete_tensors_are_refused() -> None:
    published = Published(blocks="nf_flows", padded=False, flow_steps=1, conv3x3_only=True, hidden_ratio=1.0)
    state = {k: v for k, v in published.state_dict().items() if k != "feature_extractor.conv1.weight"}
    with pytest.raises(ValueError, match=r"lack 1 that resnet18\.tv_in1k needs: \['backbone\.body\.conv1\.weight'\]"):
        convert(state, preset_name="resnet18", image_size=(SIZE, SIZE))
