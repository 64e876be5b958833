"""ImageNet weights that an installed package carries: every tensor fits, they classify, and no other file is opened."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from fastflow import packaged
from fastflow.backbone import Backbone
from fastflow.decode import read_image
from fastflow.packaged import PACKAGED, packaged_weights, timm_names
from fastflow.weights import load_weights
from tests.conftest import ROOT

NAME = "tf_efficientnet_lite2.in1k"
COOKIES = ROOT.parent / "shared/real/cookie/test/good"
BAKED = {415, 930, 931, 961, 962, 963, 964, 965}  # of ImageNet's classes: bakery, breads, dough, pies, pizza, burrito


@pytest.fixture(scope="module")
def classifier() -> torch.nn.Module:
    """The whole network, every one of its tensors from the package."""
    model = timm.create_model("tf_efficientnet_lite2").eval()
    tensors = packaged_weights(NAME, stages=[len(stage) for stage in model.blocks])  # type: ignore[union-attr]
    assert tensors is not None
    model.load_state_dict(tensors)  # strictly
    return model


@pytest.mark.skipif(not COOKIES.is_dir(), reason="no real photographs beside the project")
def test_the_packages_network_sees_what_is_on_a_photograph(classifier: torch.nn.Module) -> None:
    photographs = [read_image(path, image_size=(260, 260)) for path in sorted(COOKIES.iterdir())[:8]]
    pixels = torch.stack([torch.from_numpy(p.copy()).permute(2, 0, 1) for p in photographs]) / 127.5 - 1
    with torch.no_grad():
        found = classifier(pixels).argmax(dim=1)
    assert sum(int(label) in BAKED for label in found) >= 6, found


def test_the_cut_backbone_is_the_start_of_that_network(classifier: torch.nn.Module) -> None:
    backbone = Backbone(NAME, layers=(1, 2, 3), image_size=(64, 96))
    load_weights(backbone, "imagenet")
    images = torch.randn(2, 3, 64, 96)
    found: list[Tensor] = []
    with torch.no_grad():
        x = classifier.bn1(classifier.conv_stem(images))  # type: ignore[operator]
        for number, stage in enumerate(classifier.blocks):  # type: ignore[arg-type]
            x = stage(x)
            found += [x] if number in (1, 2, 4) else []  # strides 4, 8, 16
    for mine, theirs in zip(backbone(images), found, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert len(backbone.body.blocks) == 5, "stages past the last needed one are neither kept nor computed"  # type: ignore[arg-type]


def test_the_untagged_name_and_the_old_word_mean_the_same_weights(caplog: pytest.LogCaptureFixture) -> None:
    backbones = [Backbone(name, layers=(1,), image_size=(32, 32)) for name in (NAME, "tf_efficientnet_lite2")]
    load_weights(backbones[0], "imagenet")
    with caplog.at_level(logging.WARNING):
        load_weights(backbones[1], "pretrained")
    assert "write imagenet" in caplog.text
    states = [backbone.body.state_dict() for backbone in backbones]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_another_file_in_its_place_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "weights.pth"
    other.write_bytes(b"something else")
    monkeypatch.setattr(packaged, "_installed", lambda _: other)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(ValueError, match=r"weights\.pth is not the file that .* was published with.*install .* again"):
        packaged_weights(NAME, stages=[1])


def test_without_the_package_and_without_network_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setitem(PACKAGED, NAME, PACKAGED[NAME]._replace(distribution="not-installed"))
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", away)
    backbone = Backbone(NAME, layers=(1,), image_size=(32, 32))
    with pytest.raises(ValueError, match=r"no route to host\); install not-installed, or set weights to") as raised:
        load_weights(backbone, "imagenet")
    assert "\n" not in str(raised.value)


def test_a_tensor_of_another_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"_blocks\.0\._se_reduce\.weight is not one"):
        timm_names({"_blocks.0._se_reduce.weight": torch.zeros(1)}, stages=[1])
