"""Any timm backbone: shapes, frozen work, weights from a file, and errors that say what fits."""

import math
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from fastflow.backbone import Backbone, is_channels_last
from fastflow.config import FastFlowConfig
from fastflow.model import FastFlow
from fastflow.presets import PRESETS, preset
from fastflow.train import Training
from fastflow.weights import load_weights
from tests.conftest import ROOT

REAL_WEIGHTS = ROOT.parent / "shared/real/weights/resnet18.tv_in1k.stages1-3.bn_folded.safetensors"


def test_cnn_features_are_timms_own(tmp_path: Path) -> None:
    backbone = Backbone("resnet18", layers=(1, 2, 3), image_size=(64, 96))
    images = torch.randn(2, 3, 64, 96)
    reference = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3)).eval()
    reference.load_state_dict(backbone.body.state_dict())
    with torch.no_grad():
        for mine, theirs in zip(backbone(images), reference(images), strict=True):
            torch.testing.assert_close(mine, theirs)
    assert backbone.channels == [64, 128, 256]
    assert backbone.feature_sizes == [(16, 24), (8, 12), (4, 6)]


def test_transformer_features_are_the_blocks_own_output_without_prefix_tokens() -> None:
    name = "deit_tiny_distilled_patch16_224"
    backbone = Backbone(name, layers=(2,), image_size=(32, 48), final_norm=True)
    body = backbone.body
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        tokens = body._pos_embed(body.patch_embed(images))  # type: ignore[operator]
        for block in body.blocks[:3]:  # type: ignore[index]
            tokens = block(tokens)
        expected = body.norm(tokens)[:, 2:].transpose(1, 2).reshape(1, -1, 2, 3)  # type: ignore[operator]
    torch.testing.assert_close(backbone(images)[0], expected)
    assert len(body.blocks) == 3, "blocks past the last needed one are gone"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "layers", "size", "message"),
    [
        ("resnet1800", (1,), (64, 64), "'resnet1800' is not a timm model"),
        ("resnet18.best", (1,), (64, 64), "no weights tagged 'best'; it has .*tv_in1k"),
        ("resnet18", (1, 9), (64, 64), "must be distinct stages from 0 to 4"),
        ("vit_tiny_patch16_224", (40,), (64, 64), "must be distinct blocks from 0 to 11"),
        ("vit_tiny_patch16_224", (2,), (64, 70), "width must be a multiple of the patch, 16: use 64 or 80"),
    ],
)
def test_errors_say_what_fits(name: str, layers: tuple[int, ...], size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backbone(name, layers=layers, image_size=size)


def test_weights_come_from_a_file_of_a_whole_model(tmp_path: Path) -> None:
    source = timm.create_model("resnet18", pretrained=False)
    save_file(source.state_dict(), tmp_path / "whole.safetensors")
    backbone = Backbone("resnet18", layers=(1,), image_size=(64, 64))
    load_weights(backbone, str(tmp_path / "whole.safetensors"))
    assert torch.equal(backbone.body.state_dict()["conv1.weight"], source.state_dict()["conv1.weight"])


def test_weights_that_are_absent_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    backbone = Backbone("resnet18", layers=(1,), image_size=(64, 64))
    with pytest.raises(ValueError, match=r"nothing\.safetensors does not exist"):
        load_weights(backbone, str(tmp_path / "nothing.safetensors"))
    (tmp_path / "text.safetensors").write_text("not tensors")
    with pytest.raises(ValueError, match=r"text\.safetensors is not a readable"):
        load_weights(backbone, str(tmp_path / "text.safetensors"))
    state = {k: v for k, v in backbone.body.state_dict().items() if k != "bn1.weight"}
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(ValueError, match=r"does not fit backbone resnet18: it lacks 1 of \d+ tensors, bn1.weight"):
        load_weights(backbone, str(tmp_path / "less.safetensors"))
    save_file(state | {"bn1.weight": torch.ones(7)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"its tensor bn1.weight has the shape \(7,\), not \(64,\)"):
        load_weights(backbone, str(tmp_path / "other.safetensors"))
    for number in (torch.nan, torch.inf):
        save_file(state | {"bn1.weight": torch.full((64,), number)}, tmp_path / "nan.safetensors")
        with pytest.raises(ValueError, match=r"tensor bn1\.weight holds numbers that are not finite"):
            load_weights(backbone, str(tmp_path / "nan.safetensors"))


@pytest.mark.parametrize(
    ("name", "prefix"), [("deit_tiny_distilled_patch16_224", 2), ("cait_xxs24_224", 0), ("vit_tiny_patch16_224", 1)]
)
def test_a_transformers_positions_fit_other_sizes(name: str, prefix: int, tmp_path: Path) -> None:
    """Tokens without a place stay, the square grid is resized: antialiased bicubic, as timm does for ViT and DeiT."""
    state = dict(timm.create_model(name, num_classes=0).state_dict())
    state["pos_embed"] = torch.randn_like(state["pos_embed"])
    save_file(state, tmp_path / "native.safetensors")
    backbone = Backbone(name, layers=(2,), image_size=(96, 160))
    load_weights(backbone, str(tmp_path / "native.safetensors"))
    grid = state["pos_embed"][:, prefix:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
    resized = functional.interpolate(grid, (6, 10), mode="bicubic", antialias=True).flatten(2).transpose(1, 2)
    expected = torch.cat([state["pos_embed"][:, :prefix], resized], dim=1)
    torch.testing.assert_close(backbone.body.state_dict()["pos_embed"], expected)


def test_imagenet_weights_without_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", away)
    backbone = Backbone("resnet18.tv_in1k", layers=(1,), image_size=(64, 64))
    with pytest.raises(ValueError, match=r"no route to host.*set weights to a local \.safetensors file"):
        load_weights(backbone, "imagenet")


@pytest.mark.skipif(not REAL_WEIGHTS.is_file(), reason=f"no real weights at {os.path.relpath(REAL_WEIGHTS, ROOT)}")
def test_real_imagenet_weights_fit() -> None:
    backbone = Backbone("resnet18.tv_in1k", layers=(1, 2, 3), image_size=(64, 64))
    before = backbone.body.state_dict()["layer3.1.conv2.weight"].clone()
    load_weights(backbone, str(REAL_WEIGHTS))
    assert not torch.equal(before, backbone.body.state_dict()["layer3.1.conv2.weight"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers", "size"),
    [
        ("convnext_tiny", (0, 1, 2), (64, 96)),
        ("efficientnet_b0", (1, 2, 3), (64, 100)),
        ("mobilenetv2_100", (1, 2, 3), (64, 64)),
        ("regnety_004", (1, 2), (96, 64)),
        ("swin_tiny_patch4_window7_224", (0, 1), (224, 224)),
        ("vit_small_patch14_dinov2.lvd142m", (5,), (56, 84)),
        ("vit_small_patch16_dinov3.lvd1689m", (5, 8), (64, 96)),
        ("cait_xxs24_224", (10,), (64, 96)),
        ("pvt_v2_b0", (0, 1, 2), (64, 96)),
        ("hiera_tiny_224", (0, 1, 2), (64, 96)),
        ("xcit_nano_12_p8_224", (5, 8), (64, 96)),
        ("twins_pcpvt_small", (0, 1, 2), (64, 96)),
        ("tiny_vit_5m_224", (0, 1, 2), (224, 224)),
        ("swinv2_tiny_window8_256", (0, 1), (256, 192)),
    ],
)
def test_families_answer_channels_first_at_batch_one(name: str, layers: tuple[int, ...], size: tuple[int, int]) -> None:
    backbone = Backbone(name, layers=layers, image_size=size)
    features = backbone(torch.randn(1, 3, *size))
    shapes = [(1, c, *s) for c, s in zip(backbone.channels, backbone.feature_sizes, strict=True)]
    assert [tuple(f.shape) for f in features] == shapes
    body: Any = timm.create_model(name, features_only=True, out_indices=layers)
    info = body.feature_info
    declared = [
        (c, *(-(-side // step) for side in size)) for c, step in zip(info.channels(), info.reduction(), strict=True)
    ]
    assert [tuple(f.shape[1:]) for f in features] == declared


def test_axes_are_read_from_the_model_and_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map as wide as it has channels: its shape cannot tell which axis is which."""
    backbone = Backbone("test_resnet", layers=(1,), image_size=(64, 64))
    assert not backbone.channels_last
    declared = torch.randn(1, 8, 8, 8)
    monkeypatch.setattr(backbone.body, "forward", lambda images: [declared])
    assert torch.equal(backbone(torch.zeros(1, 3, 64, 64))[0], declared)
    backbone.body.output_fmt = "NHWC"  # type: ignore[assignment]
    backbone.channels_last = is_channels_last(backbone.body)
    assert torch.equal(backbone(torch.zeros(1, 3, 64, 64))[0], declared.permute(0, 3, 1, 2))


FAMILIES = {
    "convnext_tiny": (0, 1, 2),
    "efficientnet_b0": (1, 2, 3),
    "mobilenetv2_100": (1, 2, 3),
    "regnety_004": (1, 2),
    "resnet34": (1, 2, 3),
    "vit_small_patch14_dinov2.lvd142m": (5, 8),
    "vit_small_patch16_dinov3.lvd1689m": (5, 8),
}


def train_once_and_predict(config: FastFlowConfig) -> None:
    """One optimiser step lowers nothing that is not finite, and a prediction has the image's size."""
    model = FastFlow(config)
    images = torch.randint(0, 256, (2, 3, *config.image_size), dtype=torch.uint8)
    features = model.extract(images)
    settings = {"epochs": 1, "batch_size": 2, "learning_rate": 0.001, "weight_decay": 0.0, "seed": 0}
    (epoch,) = Training(model, torch.arange(2), **settings).run(features)  # type: ignore[arg-type]
    assert math.isfinite(epoch.loss)
    prediction = model(images[:1])
    assert prediction.anomaly_map.shape == (1, 1, *config.image_size)
    assert prediction.anomaly_map.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(112, 112), (112, 168)])
@pytest.mark.parametrize("name", FAMILIES)
def test_any_backbone_trains_and_predicts_at_square_and_other_sizes(name: str, size: tuple[int, int]) -> None:
    patch = 16 if "patch16" in name else 14
    height, width = (side // patch * patch for side in size)
    config = FastFlowConfig(backbone=name, layers=FAMILIES[name], image_size=(height, width), flow_steps=2)
    train_once_and_predict(config)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4, 4), (4, 6)])
@pytest.mark.parametrize("name", [name for name in PRESETS if not name.endswith("_paper")])
def test_every_preset_trains_and_predicts_at_square_and_other_sizes(name: str, size: tuple[int, int]) -> None:
    patch = 14 if name == "dinov2" else 16
    train_once_and_predict(preset(name, image_size=(size[0] * patch, size[1] * patch)))
