"""Changed copies of good images as training images: what each draw is, which are kept, and what a training sees."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from fastflow.features import FeatureStorage
from fastflow.model import FastFlow
from pipelines.core.params import BadParams, Params, read_params
from pipelines.training.changed import COPIES, altered, changed_features
from pipelines.training.changes import KINDS
from pipelines.training.resumable import embed
from tests.conftest import ROOT
from tests.fastflow.test_features import paths_of

STORAGE = FeatureStorage()


def params_with(**train: object) -> Params:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["train"] |= train
    return Params.model_validate(values)


def test_the_kinds_are_those_of_the_tolerance() -> None:
    assert set(params_with().train.changes.model_dump()) == set(KINDS)


def test_brightness_is_scaled_by_up_to_the_limit_either_way() -> None:
    pixels = np.full((4, 4, 3), 100, np.uint8)
    drawn = [int(altered(pixels, {"brightness": 20.0}, np.random.default_rng(n))[0, 0, 0]) for n in range(400)]
    assert min(drawn) in (80, 81)
    assert max(drawn) in (119, 120)
    for low, high in ((80, 90), (90, 100), (100, 110), (110, 120)):  # uniform: about 100 each, deviation 9
        assert 60 < sum(low <= value < high for value in drawn) < 140


def test_the_lowest_quality_of_jpeg_is_the_limit() -> None:
    """Against Pillow's files at the qualities allowed."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)

    def loss(pixels: NDArray[np.uint8]) -> float:
        return float(np.abs(pixels.astype(float) - noise).mean())

    found = [loss(altered(noise, {"jpeg": 60}, np.random.default_rng(n))) for n in range(60)]
    assert max(found) <= loss(stored(noise, 60)) * 1.01
    assert min(found) < loss(stored(noise, 90))


def stored(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_a_grey_picture_gets_no_colour_and_a_coloured_one_does() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert (altered(grey, {"colour": 2000.0}, np.random.default_rng(0)) == grey).all()
    coloured = grey + np.array([20, 0, 0], np.uint8)
    assert not (altered(coloured, {"colour": 2000.0}, np.random.default_rng(0)) == coloured).all()


def test_copies_are_those_of_the_changed_pixels_differ_and_are_the_same_twice(
    plates: Path, tiny_model: FastFlow
) -> None:
    paths, limits = paths_of(plates), {"brightness": 40.0}

    def features() -> dict[int, list[torch.Tensor]]:
        return changed_features(tiny_model, paths, limits, seed=3, batch_size=3, storage=STORAGE)

    found, again = features(), features()
    assert sorted(found) == [0, 1]
    assert all(len(copies) == COPIES for copies in found.values())
    for scale, copies in found.items():
        assert all(torch.equal(one, other) for one, other in zip(copies, again[scale], strict=True))
        assert not any(torch.equal(copies[0][n], copies[1][n]) for n in range(len(paths)))
    pixels = altered(np.asarray(Image.open(paths[1]).convert("RGB")), limits, np.random.default_rng([3, 2, 1]))
    alone = tiny_model.extract(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
    torch.testing.assert_close(found[0][2][1], alone[0][0], rtol=1e-4, atol=1e-4)


def test_a_training_sees_images_as_they_are_and_each_copy(plates: Path, tmp_path: Path, tiny_model: FastFlow) -> None:
    paths = paths_of(plates)
    params = params_with(changes={"brightness": 40})
    embedded = embed(tiny_model, paths, params, folder=tmp_path)
    assert embedded.mirrored is None
    assert embedded.augmented is not None
    rows = torch.full((300,), 2)
    drawn = embedded.augmented(rows, torch.Generator().manual_seed(0))[0]
    kinds = {tuple(one.flatten()[:50].tolist()) for one in drawn}
    assert len(kinds) == 1 + COPIES
    unchanged = (drawn == embedded.features[0][2]).flatten(1).all(dim=1)
    assert 35 < int(unchanged.sum()) < 90  # binomial: 60 of 300, deviation 7
    plain = embed(tiny_model, paths, params_with(), folder=tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(embedded.features, plain.features, strict=True))


def test_what_cannot_be_is_refused_by_its_key(plates: Path, tmp_path: Path, tiny_model: FastFlow) -> None:
    paths = paths_of(plates)
    with pytest.raises(ValueError, match=r"train: changes \(focus\) and augment \(hflip\) are both given"):
        embed(tiny_model, paths, params_with(changes={"focus": 0.5}, augment=["hflip"]), folder=tmp_path)
    with pytest.raises(ValueError, match=r"train\.changes\.position: 40 px; allowed: at most 7\.68 px"):
        embed(tiny_model, paths, params_with(changes={"position": 40}), folder=tmp_path)


@pytest.mark.parametrize(
    "changes", ["{brightness: 51}", "{brightness: 0}", "{light: 5}", "{jpeg: 100}", "{noise: .nan}"]
)
def test_params_yaml_refuses_what_no_step_has(tmp_path: Path, changes: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("  changes: {} ", f"  changes: {changes} "))
    with pytest.raises(BadParams, match=r"train\.changes"):
        read_params(path)
