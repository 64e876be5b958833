"""Pictures: one colour scale for all, contours on the mask's edge, and a choice that shows the worst."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.reporting.pictures import (
    PREDICTED_COLOUR,
    TRUTH_COLOUR,
    Case,
    draw_contour,
    heat_colours,
    heat_position,
    triplet,
    write_pictures,
)

SIZE = 64
Colour = tuple[int, int, int]


def _map(*values: float) -> NDArray[np.float32]:
    return np.array([values], dtype=np.float32)


def _square_mask() -> NDArray[np.bool_]:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[20:40, 24:44] = True
    return mask


def _touched(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2))


def _near(picture: NDArray[np.uint8], colour: Colour) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - np.array(colour)).max(axis=2) < 60)


@pytest.mark.parametrize(("low", "threshold"), [(0.0, 2.0), (-3.5, -1.25), (-1.0, 0.0), (1e-4, 2e-4)])
def test_threshold_is_the_middle_of_the_scale(low: float, threshold: float) -> None:
    span = threshold - low
    scores = _map(low - span, low, threshold, threshold + span, threshold + 9 * span)
    position = heat_position(scores, low=low, threshold=threshold)
    np.testing.assert_allclose(position, [[0, 0, 0.5, 1, 1]], atol=1e-5)


def test_opacity_and_lightness_rise_with_the_score() -> None:
    colours = heat_colours(_map(*np.linspace(-0.5, 2.5, 300)), low=0, threshold=1)[0].astype(float)
    lightness = colours[:, :3] @ [0.2126, 0.7152, 0.0722]  # Rec. 709 luma: what is left on grey paper
    assert (np.diff(colours[:, 3]) >= 0).all()
    assert (np.diff(lightness) >= -1).all()  # within rounding to 8 bits
    assert (lightness[-1] - lightness[0], colours[0, 3]) == (pytest.approx(240, abs=20), 0)


def test_same_score_has_the_same_colour_in_every_picture() -> None:
    quiet, loud = _map(0.1, 0.2, 0.8), _map(0.8, 50.0, 0.2)
    first = heat_colours(quiet, low=0, threshold=1)[0]
    second = heat_colours(loud, low=0, threshold=1)[0]
    np.testing.assert_array_equal(first[[1, 2]], second[[2, 0]])


def test_normal_regions_stay_as_they_are_under_the_heat() -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    anomaly_map = np.zeros((SIZE, SIZE), np.float32)
    anomaly_map[:8] = 5
    heat = np.asarray(triplet(image, anomaly_map, _square_mask(), low=0, threshold=1).heat)
    np.testing.assert_array_equal(heat[8:], image[8:])
    assert _touched(image, heat)[:8].all()


def test_map_without_spread_has_two_colours() -> None:
    assert heat_position(_map(1, 1, 2), low=1, threshold=1).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(("low", "threshold"), [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_scale_without_order_is_refused(low: float, threshold: float) -> None:
    with pytest.raises(ValueError, match="low <= threshold"):
        heat_colours(_map(1), low=low, threshold=threshold)


def test_contour_lies_on_the_edge_of_the_mask() -> None:
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    mask = _square_mask()
    touched = _touched(image, draw_contour(image, mask, colour=TRUTH_COLOUR))
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    # distance of a pixel's centre to the outline of the rectangle, by its definition
    outside = np.hypot(np.maximum(abs(rows - 30) - 10, 0), np.maximum(abs(columns - 34) - 10, 0))
    inside = np.minimum(10 - abs(rows - 30), 10 - abs(columns - 34))
    distance = np.where(outside > 0, outside, np.maximum(inside, 0))
    assert touched[distance <= 0.5].all()  # closed: every pixel that the edge passes
    assert not touched[distance > 2.5].any()  # thin: and nothing far from it


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_contour_shows_on_any_part(grey: int) -> None:
    image = np.full((256, 256, 3), grey, np.uint8)
    mask = np.zeros((256, 256), bool)
    mask[100:150, 100:150] = True
    picture = draw_contour(image, mask, colour=TRUTH_COLOUR)
    on_edge = picture[125, 95:105]
    assert _near(on_edge[None], TRUTH_COLOUR).any()
    assert on_edge.max(axis=1).min() < max(1, grey)  # and darker than the part beside it, where that can be


def test_single_pixel_defect_is_outlined() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10, 50] = True
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    row, column = np.argwhere(_touched(image, draw_contour(image, mask, colour=TRUTH_COLOUR))).mean(axis=0)
    assert (row, column) == (pytest.approx(10, abs=0.6), pytest.approx(50, abs=0.6))


def test_truth_and_prediction_have_their_own_lines() -> None:
    image = np.full((256, 256, 3), 90, np.uint8)
    mask = np.zeros((256, 256), bool)
    mask[30:80, 30:80] = True
    anomaly_map = np.zeros((256, 256), np.float32)
    anomaly_map[150:200, 150:200] = 2
    picture = np.asarray(triplet(image, anomaly_map, mask, low=0, threshold=1).contours)
    truth, predicted = np.argwhere(_near(picture, TRUTH_COLOUR)), np.argwhere(_near(picture, PREDICTED_COLOUR))
    assert truth.min() >= 28
    assert truth.max() <= 81
    assert predicted.min() >= 148
    assert predicted.max() <= 201


def _case(number: int, *, size: int) -> Case:
    rng = np.random.default_rng(number)
    noise = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
    image = np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC))
    mask = np.zeros((size, size), bool)
    mask[: size // 4, : size // 4] = True
    return Case(f"test/dent/{number:03}.png", "dent", 1, number / 3, image, mask.astype(np.float32) * 3, mask)


def test_files_are_small_and_named_by_their_index(tmp_path: Path) -> None:
    cases = [_case(i, size=256) for i in range(2)]
    write_pictures(tmp_path, cases=cases, groups={"misses": [1]}, low=0.5, threshold=1.5)
    index = json.loads((tmp_path / "index.json").read_text())
    assert (index["low"], index["threshold"], index["groups"]) == (0.5, 1.5, {"misses": [1]})
    assert [case["image_path"] for case in index["cases"]] == ["test/dent/000.png", "test/dent/001.png"]
    assert [case["pred_score"] for case in index["cases"]] == [0, 1 / 3]
    named = {case[kind] for case in index["cases"] for kind in ("image", "heat", "contours")}
    assert named | {"index.json"} == {path.name for path in tmp_path.iterdir()}
    assert sum((tmp_path / name).stat().st_size for name in named) / 2 < 1.5e6 / 24
    with Image.open(tmp_path / index["cases"][1]["image"]) as stored:
        difference = np.asarray(stored.convert("RGB")).astype(int) - _case(1, size=256).image
    assert np.abs(difference).mean() < 12


def test_large_pictures_are_stored_smaller(tmp_path: Path) -> None:
    write_pictures(tmp_path, cases=[_case(0, size=512)], groups={}, low=0, threshold=1)
    with Image.open(tmp_path / "000_contours.webp") as stored:
        assert stored.size == (320, 320)
