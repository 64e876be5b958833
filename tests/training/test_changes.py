"""Changes of light and place against what they mean: Pillow, NumPy, closed forms."""

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torchvision.transforms.v2 import functional as v2

from pipelines.training.changes import CHANGES, KINDS, Change, changed, daylight, gains_of, in_units

BY_NAME = {change.name: change for change in CHANGES}


def picture(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(120, 90, (height, width, 3)), (3, 3, 0))
    return np.asarray((smooth * 3 - 240).clip(20, 200).astype(np.uint8))


def after(name: str, amount: float, pixels: NDArray[np.uint8] | None = None, *, seed: int = 0) -> NDArray[np.uint8]:
    shown = picture() if pixels is None else pixels
    return changed(shown, BY_NAME[name], amount, np.random.default_rng(seed))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_each_change_grows_by_its_steps_and_is_the_same_twice(change: Change) -> None:
    pixels, amounts = picture(), [in_units(change, step, 60) for step in change.steps]
    seen = [changed(pixels, change, amount, np.random.default_rng(1)) for amount in amounts]
    again = changed(pixels, change, amounts[-1], np.random.default_rng(1))
    assert (again == seen[-1]).all()
    assert {one.shape for one in seen} == {pixels.shape}
    differences = [float(np.abs(one.astype(float) - pixels).mean()) for one in seen]
    assert differences[-1] > max(1.0, 2 * differences[0])
    assert sorted(differences) == pytest.approx(differences, abs=1.0)
    assert change.kind in KINDS


def test_light_by_its_percentage() -> None:
    pixels = picture()
    assert np.abs(after("darker", 20).astype(float) - 0.8 * pixels).max() <= 1
    assert np.abs(after("brighter", 20).astype(float) - np.minimum(255, 1.2 * pixels)).max() <= 1
    grey = np.asarray(Image.fromarray(pixels).convert("L"), float).mean()
    expected = (grey + 0.6 * (pixels - grey)).clip(0, 255)
    assert np.abs(after("less contrast", 40).astype(float) - expected).max() <= 2


def test_daylight_is_that_of_the_cie() -> None:
    """Chromaticities of D50, D55 and D65 (CIE 15:2004, table T.3), back from the linear light of sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for kelvin, x, y in ((5003, 0.34567, 0.35850), (5503, 0.33242, 0.34743), (6504, 0.31271, 0.32902)):
        xyz = to_xyz @ daylight(kelvin)
        assert xyz[:2] / xyz.sum() == pytest.approx((x, y), abs=5e-4)
    assert gains_of(6500) == pytest.approx([1, 1, 1])
    warm, cool = gains_of(4500), gains_of(9000)
    assert warm[0] > 1 > warm[2]
    assert cool[0] < 1 < cool[2]
    with pytest.raises(ValueError, match="allowed: 4000 to 25000"):
        daylight(3999)


def test_blur_is_a_gaussian() -> None:
    pixels = picture()
    expected = ndimage.gaussian_filter(pixels.astype(float), (1.5, 1.5, 0), mode="mirror", truncate=3)
    assert np.abs(after("blurred", 1.5) - expected).max() <= 1
    assert (after("blurred", 0.01) == pixels).all()
    assert after("blurred", 40.0, picture(9, 12)).shape == (9, 12, 3)


def test_noise_has_its_standard_deviation() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    levels = after("noisier", 8, grey).astype(float) - 128
    assert levels.std() == pytest.approx(8, rel=0.02)
    assert (after("noisier", 8, grey, seed=1) != after("noisier", 8, grey)).any()


def test_jpeg_is_about_torchvisions_of_that_quality() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = v2.jpeg(torch.from_numpy(picture().transpose(2, 0, 1).copy()), 30)
    assert np.abs(after("JPEG quality", 30) - expected.numpy().transpose(1, 2, 0).astype(float)).mean() < 1.5


def test_a_shift_is_as_far_as_it_says() -> None:
    pixels = np.zeros((90, 90, 3), np.uint8)
    pixels[40:50, 40:50] = 200
    for seed in range(4):
        found = after("shifted", 7.4, pixels, seed=seed)[..., 0].astype(float)
        rows, columns = ndimage.center_of_mass(found)
        assert np.hypot(rows - 44.5, columns - 44.5) == pytest.approx(7.4, abs=0.15)


def test_a_turn_is_as_far_as_it_says() -> None:
    pixels = np.zeros((91, 91, 3), np.uint8)
    pixels[43:48, 70:80] = 200
    signs = set()
    for seed in range(6):
        rows, columns = ndimage.center_of_mass(after("turned", 12, pixels, seed=seed)[..., 0].astype(float))
        angle = np.degrees(np.arctan2(rows - 45, columns - 45))
        assert abs(angle) == pytest.approx(12, abs=0.5)
        signs.add(np.sign(angle))
    assert signs == {-1, 1}


def test_what_comes_into_view_is_mirrored() -> None:
    stripes = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 3 + 20, 64, 0).repeat(3, 2)
    assert after("shifted", 6.0, stripes).min() >= 20  # no black border


def test_steps_in_pixels_are_shares_of_the_shorter_side() -> None:
    assert in_units(BY_NAME["shifted"], 2.0, 320) == 6.4
    assert in_units(BY_NAME["turned"], 2.0, 320) == 2.0
