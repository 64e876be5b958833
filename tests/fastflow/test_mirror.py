"""Mirror images as training images: what they are, how they are drawn, and when good images ask for them."""

import copy
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.distributions import Normal

from fastflow import fit as fit_module
from fastflow.augment import drawn_variants
from fastflow.data import read_pictures
from fastflow.fit import Fitted, Hooks, Progress, fit
from fastflow.mirror import FLIPS, mirrored_features
from fastflow.model import FastFlow
from fastflow.noise import bits
from fastflow.padding import inside_of
from tests.conftest import tiny_config
from tests.fastflow.test_features import paths_of

COUNT = 8
SETTINGS = {"epochs": 20, "batch_size": 4, "learning_rate": 0.004, "weight_decay": 0.0, "seed": 1}


def test_features_are_those_of_the_flipped_pictures(plates: Path, tiny_model: FastFlow) -> None:
    paths = paths_of(plates)
    images = read_pictures(paths, tiny_model.frame).images
    found = mirrored_features(tiny_model, paths, batch_size=3)([1])
    assert list(found) == [1]
    for dims, features in zip(([3], [2], [2, 3]), found[1], strict=True):
        torch.testing.assert_close(features, tiny_model.extract(images.flip(dims))[1], rtol=1e-4, atol=1e-4)


def test_padding_goes_along(tmp_path: Path) -> None:
    """A wide picture in a square frame: flipped upside down, its padding is on top."""
    model = FastFlow(tiny_config(letterbox=True))
    path = tmp_path / "wide.png"
    Image.linear_gradient("L").resize((64, 32)).convert("RGB").save(path)
    pictures = read_pictures([path], model.frame)
    height = int(pictures.sizes[0, 0])
    across, down, both = mirrored_features(model, [path], batch_size=1)([0])[0]
    rows = across.shape[2]
    padded = [(~inside_of(f))[0, 0, :, 0].nonzero().flatten().tolist() for f in (across, down, both)]
    inside = math.ceil(rows * height / model.config.image_size[0])
    assert padded[0] == list(range(inside, rows))
    assert padded[1] == padded[2] == list(range(rows - inside))


def test_each_image_is_drawn_as_it_is_or_flipped_and_other_scales_are_left_alone() -> None:
    features = [torch.arange(4.0)[:, None, None, None].expand(4, 2, 3, 3).contiguous() for _ in range(2)]
    mirrors = {1: [features[1] + 10 * (number + 1) for number in range(len(FLIPS))]}
    drawn = drawn_variants(features, mirrors, device=torch.device("cpu"))
    rows = torch.tensor([2, 0, 3]).repeat(400)
    fine, coarse = drawn(rows, torch.Generator().manual_seed(0))
    assert torch.equal(fine[:, 0, 0, 0], rows.float())
    kinds, images = torch.div(coarse[:, 0, 0, 0], 10, rounding_mode="floor"), coarse[:, 0, 0, 0] % 10
    assert torch.equal(images, rows.float())
    for kind in range(4):  # binomial of 1200: 300, deviation 15
        assert 240 < int((kinds == kind).sum()) < 360


def test_bits_are_those_of_the_gaussian_where_the_flow_is_the_identity(tiny_model: FastFlow) -> None:
    features = [torch.randn(3, 64, 4, 4), torch.randn(3, 128, 2, 2)]
    with torch.no_grad():
        for parameter in tiny_model.flows.parameters():
            if parameter.shape[:1] != (1,):  # subnets: no coupling; the global affines start at one
                parameter.zero_()
    rows = torch.tensor([0, 2])
    expected = [-float(Normal(0.0, 1.0).log_prob(f[rows]).mean()) / math.log(2) for f in features]
    assert bits(tiny_model, features, rows, batch_size=2) == pytest.approx(expected, rel=1e-4)


def pictures(*, lies_alike: bool) -> Tensor:
    """Features without any order, the same seen from all sides; or of a part whose left and right sides differ."""
    found = torch.randn(COUNT, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    if lies_alike:
        found[:, :32, :, :2] += 4.0
        found[:, 32:, :, 2:] += 4.0
    return found


def fitted(features: Tensor) -> tuple[Fitted, list[Progress]]:
    torch.manual_seed(0)
    model, heard = FastFlow(tiny_config(layers=(1,), flow_steps=2)), list[Progress]()
    found = fit(
        copy.deepcopy(model), [features], folds=2, inference_batch=4, noise="auto",
        mirrored=lambda scales: {scale: [features.flip(dims) for dims in FLIPS] for scale in scales},
        hooks=Hooks(on_epoch=heard.append), **SETTINGS,  # type: ignore[arg-type]
    )  # fmt: skip
    return found, heard


@pytest.mark.slow
def test_held_out_images_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are too few; mirror images help where the part lies in any way, and harm where it always lies alike."""
    monkeypatch.setattr(fit_module, "CROWDED_FRACTION", 0.0)
    any_way, _ = fitted(pictures(lies_alike=False))
    alike, heard = fitted(pictures(lies_alike=True))
    assert (any_way.mirrored, alike.mirrored) == ((0,), ())
    assert heard[-1].seconds_left == 0
    assert all(one.seconds_left >= 0 for one in heard)


def test_they_are_not_asked_for_where_images_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "CROWDED_FRACTION", 1.0)
    found, heard = fitted(pictures(lies_alike=False))
    assert found.mirrored == ()
    assert {one.fold for one in heard} <= {0, 1, 2, 3, 4}
