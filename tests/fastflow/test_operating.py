"""The operating point against NumPy's quantiles, its guarantee in words, and maps in their pictures' own pixels."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from fastflow.crossfit import NormalScores
from fastflow.maps import OwnMaps, resize_map
from fastflow.operating import guarantee, operating_point
from fastflow.threshold import threshold_for


def scores(count: int, *, folds: int) -> NormalScores:
    """Of as many images: their scores, and maps of 50 pixels of which the last five are padding."""
    random = np.random.default_rng(0)
    pixels = random.random((count, 50)).astype(np.float32)
    pixels[:, 45:] = np.nan
    fold = torch.arange(count) % max(folds, 1)
    return NormalScores(
        torch.from_numpy(random.random(count).astype(np.float32)), torch.from_numpy(pixels), fold, folds
    )


def test_an_operating_point_comes_from_good_images_alone() -> None:
    normal = scores(120, folds=4)
    point = operating_point(normal, false_reject_rate=0.05, bounds=(0.0, 1.0))
    expected = threshold_for(normal.pred_score.double(), false_reject_rate=0.05, bounds=(0.0, 1.0))
    inside = normal.pixels.numpy()[:, :45].astype(float)
    assert point == {
        "image": sorted(normal.pred_score.tolist())[114],  # rank 115 = (120 + 1) * 0.95, rounded up
        "pixel": pytest.approx(np.quantile(inside, 0.999), abs=1e-6),
        "pixel_rate": float((inside.max(axis=1) > np.quantile(inside, 0.999)).mean()),
        "low": pytest.approx(np.median(inside), abs=1e-6),
        "false_reject_rate": 0.05,
        "method": "rank",
        "num_normal": 120,
        "folds": 4,
        "guarantee": guarantee(expected, 4),
    }
    assert {type(point[name]) for name in ("image", "pixel", "low")} == {float}


def test_a_tail_stays_inside_the_bounds_that_it_is_given() -> None:
    normal = scores(20, folds=4)
    bounded = operating_point(normal, false_reject_rate=1e-3, bounds=(0.0, 1.0))
    assert normal.pred_score.max() < bounded["image"] < 1
    assert bounded["method"] == "tail"
    unbounded = operating_point(normal, false_reject_rate=1e-3, bounds=None)["image"]
    assert unbounded == threshold_for(normal.pred_score.double(), false_reject_rate=1e-3).value != bounded["image"]


def test_a_guarantee_is_worth_what_the_models_have_seen() -> None:
    by_rank = threshold_for(range(99), false_reject_rate=0.01)
    by_tail = threshold_for(range(9), false_reject_rate=0.01)
    seen = "none: it comes from images that the model was trained on, so more good parts may be rejected"
    assert guarantee(by_rank, 0) == guarantee(by_tail, 0) == seen
    assert guarantee(by_tail, 4) == by_tail.guarantee
    assert guarantee(by_rank, 4).startswith(f"approximate: {by_rank.guarantee}. Each was scored by one of 4 models")


def test_a_map_is_stretched_to_its_picture() -> None:
    """By hand: the centres of pixels lie at 1/4 and 3/4 between those of the map. And SciPy's, where it is defined."""
    assert resize_map(np.array([[0.0, 4.0]], np.float32), (1, 4)).tolist() == [[0.0, 1.0, 3.0, 4.0]]
    small = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    wide = resize_map(small, (12, 24))
    assert (wide.shape, wide.dtype.name) == ((12, 24), "float32")
    places = np.meshgrid((np.arange(12) + 0.5) / 2 - 0.5, (np.arange(24) + 0.5) / 3 - 0.5, indexing="ij")
    np.testing.assert_allclose(wide, ndimage.map_coordinates(small, places, order=1, mode="nearest"), atol=1e-6)


def test_maps_come_each_in_its_own_size() -> None:
    maps = [np.full((2, 2), float(i), np.float32) for i in range(4)]
    shapes = [(2, 3), (4, 5), (6, 7), (8, 9)]
    own = OwnMaps(maps, shapes)
    assert len(own) == 4
    assert [one.shape for one in own] == shapes
    assert [round(float(one.max())) for one in own] == [0, 1, 2, 3]
    assert own[-1].shape == (8, 9)
    part = own[1:3]
    assert isinstance(part, OwnMaps)
    assert [(one.shape, round(float(one.max()))) for one in part] == [((4, 5), 1), ((6, 7), 2)]
    with pytest.raises(IndexError):
        own[4]


def test_the_rate_of_pictures_above_the_pixel_threshold_is_counted() -> None:
    pixels = np.random.default_rng(0).random((50, 1000)).astype(np.float32)
    pixels[3, :30] = pixels[17, :40] = 5.0  # a picture has many of them: the rate is of pictures, not of pixels
    pixels[20, 500:] = np.nan  # padding
    normal = NormalScores(torch.rand(50), torch.from_numpy(pixels), torch.zeros(50), 2)
    found = operating_point(normal, false_reject_rate=0.01, bounds=None)
    assert np.isclose(found["pixel"], 5.0)
    assert found["pixel_rate"] == 0.0
    pixels[3, 0] = pixels[17, 5] = pixels[30, 7] = 6.0
    assert operating_point(normal, false_reject_rate=0.01, bounds=None)["pixel_rate"] == 3 / 50
