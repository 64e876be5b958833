"""The model's parts and wiring against closed forms and the paper's counts."""

import math

import pytest
import torch

from fastflow.config import FastFlowConfig
from fastflow.flow import Flow
from fastflow.model import FastFlow, normalise_features
from fastflow.presets import PRESETS, preset
from tests.conftest import SIZE, shake, tiny_config


def test_loss_of_an_identity_flow_is_the_gaussians_closed_form(tiny_model: FastFlow) -> None:
    for parameter in tiny_model.flows.parameters():  # the global affine starts at exactly 1
        if (parameter.dim() == 4 and parameter.shape[-1] != 1) or parameter.dim() == 1:
            parameter.data.zero_()
    features = [torch.randn(3, c, *s) for c, s in zip(tiny_model.backbone.channels, [(16, 16), (8, 8)], strict=True)]
    values = torch.cat([f.flatten() for f in features]).double()
    expected = (0.5 * values.square() + 0.5 * math.log(2 * math.pi)).mean() / math.log(2)
    assert tiny_model.loss(features).item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_is_the_change_of_variables_over_the_scales(tiny_model: FastFlow) -> None:
    shake(tiny_model.flows, scale=0.05)
    features = [torch.randn(2, 64, 16, 16), torch.randn(2, 128, 8, 8)]
    nats = 0.0
    for flow, f in zip(tiny_model.flows, features, strict=True):
        z, log_det_jacobian = flow(f)
        density = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=(1, 2, 3)) + log_det_jacobian
        nats -= density.mean().item()
    dimensions = 64 * 16 * 16 + 128 * 8 * 8
    assert tiny_model.loss(features).item() == pytest.approx(nats / dimensions / math.log(2), rel=1e-5)


def test_predictions_do_not_depend_on_the_batch(tiny_model: FastFlow) -> None:
    shake(tiny_model.flows, scale=0.02)
    images = torch.randint(0, 256, (4, 3, SIZE, SIZE), dtype=torch.uint8)
    together = tiny_model(images)
    alone = [tiny_model(image[None]) for image in images]
    torch.testing.assert_close(together.pred_score, torch.cat([p.pred_score for p in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.anomaly_map, torch.cat([p.anomaly_map for p in alone]), rtol=1e-4, atol=1e-5)
    assert together.anomaly_map.shape == (4, 1, SIZE, SIZE)


def test_backbone_is_frozen_in_evaluation_mode_and_training_ignores_it(tiny_model: FastFlow) -> None:
    tiny_model.train()
    assert not tiny_model.backbone.body.training
    assert not any(p.requires_grad for p in tiny_model.backbone.parameters())


def test_feature_norms_have_the_stated_moments() -> None:
    features = torch.randn(2, 8, 5, 6) * 3 + 7
    layer = normalise_features(features, kind="layer")
    torch.testing.assert_close(layer.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.var(dim=(1, 2, 3), correction=0), torch.ones(2), atol=1e-4, rtol=0)
    channel = normalise_features(features, kind="channel")
    torch.testing.assert_close(channel.mean(dim=1), torch.zeros(2, 5, 6), atol=1e-5, rtol=0)
    assert normalise_features(features, kind="none") is features


# Trainable parameters of flows: (channels per scale), steps, 3x3 only, hidden ratio, couplings -> published counts and
# the arithmetic of the layers. With two couplings, or a third as hidden width, the paper's 14.8 M comes out exactly.
RESNET18, WIDE, VIT = (64, 128, 256), (256, 512, 1024), (768,)
COUNTS = [
    (RESNET18, 8, True, 1.0, 1, 4_657_408),
    (RESNET18, 8, False, 1.0, 1, 2_593_024),
    (WIDE, 8, False, 1.0, 1, 41_337_856),  # the paper says 41.3 M
    (WIDE, 8, True, 1.0, 1, 74_368_000),
    (VIT, 20, False, 0.16, 1, 7_074_500),  # the known reproduction says 7.1 M
    (VIT, 20, False, 0.32, 1, 14_102_920),
    (VIT, 20, False, 1 / 3, 1, 14_794_240),  # the paper says 14.8 M
    (VIT, 20, False, 1 / 6, 2, 14_809_600),  # as does this reading
    (VIT, 20, True, 1 / 3, 1, 26_590_720),
]


@pytest.mark.parametrize(("channels", "steps", "conv3x3_only", "ratio", "couplings", "count"), COUNTS)
def test_flows_have_the_published_parameter_counts(
    channels: tuple[int, ...], steps: int, conv3x3_only: bool, ratio: float, couplings: int, count: int
) -> None:
    with torch.device("meta"):
        flows = [
            Flow(c, flow_steps=steps, hidden_ratio=ratio, conv3x3_only=conv3x3_only, couplings=couplings)
            for c in channels
        ]
    assert sum(p.numel() for flow in flows for p in flow.parameters()) == count


@pytest.mark.parametrize(
    ("name", "count"), [("resnet18", 4_657_408), ("deit", 14_809_600), ("deit_reproduction", 7_074_500)]
)
def test_presets_are_those_flows(name: str, count: int) -> None:
    model = FastFlow(preset(name))
    assert sum(p.numel() for p in model.flows.parameters()) == count


@pytest.mark.parametrize("name", ["resnet18", "wide_resnet50_2", "deit", "cait"])
def test_the_papers_own_setting_is_one_name_away(name: str) -> None:
    ours, paper = preset(name).to_dict(), preset(f"{name}_paper").to_dict()
    changed = {key: paper[key] for key in ours if ours[key] != paper[key]}
    assert changed == {"score": "paper", "conditioner_clip": None, "letterbox": False}


def test_affine_layer_norm_adds_the_reproductions_parameters() -> None:
    model = FastFlow(preset("resnet18", feature_norm="layer_affine"))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == 5_574_912  # what the known reproduction prints for ResNet18


def test_every_preset_is_a_valid_config_that_survives_json() -> None:
    for name in PRESETS:
        config = preset(name)
        assert FastFlowConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow_steps": 0}, "flow_steps is 0; allowed: a whole number from 1 to 100"),
        ({"flow_steps": 1_000_000}, "flow_steps is 1000000; allowed: a whole number from 1 to 100"),
        ({"flow_steps": "8"}, r"flow_steps is '8' \(str\); allowed: a whole number"),
        ({"flow_steps": True}, "flow_steps is True; allowed: a whole number"),
        ({"score": "best"}, r"score is 'best' \(str\); allowed: one of"),
        ({"score": ["paper"]}, r"score is \['paper'\] \(list\); allowed: one of"),
        ({"layers": []}, r"layers is \[\] \(list\); allowed: a list of 1 to 16"),
        ({"layers": "12"}, r"layers is '12' \(str\); allowed: a list"),
        ({"colour": 1}, r"unknown keys \['colour'\]"),
        ({"image_size": 256}, "image_size is 256; allowed: a list of 2"),
        ({"image_size": [256.0, 256]}, "image_size is .*whole"),
        ({"image_size": [100_000, 64]}, r"image_size is \[100000, 64\] \(list\); allowed: .* from 1 to 8192"),
        ({"mean": [1, 2]}, "mean is .*; allowed: a list of 3, each a number from -10 to 10"),
        ({"std": [1, 1, float("nan")]}, "std is .*; allowed: a list of 3, each a number above 0"),
        ({"hidden_ratio": float("inf")}, "hidden_ratio is inf; allowed: a number above 0, at most 16"),
        ({"clamp": float("nan")}, "clamp is nan; allowed: a number above 0"),
        ({"conditioner_clip": -1}, "conditioner_clip is -1; allowed: a number above 0, at most 1e.06, or null"),
        ({"letterbox": "yes"}, r"letterbox is 'yes' \(str\); allowed: true or false"),
        ({"couplings": 3}, "couplings is 3; allowed: one of 1, 2"),
        ({"backbone": 18}, "backbone is 18; allowed: a text"),
    ],
)
def test_config_refuses_what_makes_no_model(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(**changes)


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"resnet50000.*allowed: efficientnet_lite2"):
        preset("resnet50000")
