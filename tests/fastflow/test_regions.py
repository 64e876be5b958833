"""Regions of maps: drawn shapes whose boxes, areas and polygons are counted by hand; fillers of other hands."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from scipy import ndimage
from torch.nn import functional

from fastflow.maps import resize_map
from fastflow.outline import outline
from fastflow.regions import Region, RegionRule, as_record, check_rule, filled, find_regions, largest_area

Mask = NDArray[np.bool_]
SHAPES = {
    "dot": "#",
    "bar": "###",
    "l": "#..\n#..\n###",
    "ring": "####\n#..#\n#..#\n####",
    "corner": "#.\n.#",
    "corners": "#.#\n.#.\n#.#",
    "two_holes": "#######\n#.##..#\n#######\n##.####\n#######",
    "hole_at_corner": "####\n#.##\n##.#\n####",
    "nested": "#######\n#.....#\n#.###.#\n#.#.#.#\n#.###.#\n#.....#\n#######",
    "comb": "#.#.#\n#.#.#\n#####",
}


def drawn(name: str) -> Mask:
    return np.array([[c == "#" for c in line] for line in SHAPES[name].split("\n")])


def regions_of(mask: Mask, *, min_area: int = 0) -> list[Region]:
    return find_regions(mask.astype(np.float32), mask.shape, threshold=0.5, min_area=min_area)


def by_cocos_library(polygon: list[float], size: tuple[int, int]) -> Mask:
    parts: Any = [polygon]
    return np.asarray(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, *size))) > 0)


def by_crossings(polygon: list[float], size: tuple[int, int]) -> Mask:
    """The definition: a pixel is inside if a ray from its centre to the left crosses the polygon an odd number of
    times."""
    points = np.array(polygon).reshape(-1, 2)
    found = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            crossed = sum(
                min(y0, y1) < row + 0.5 < max(y0, y1) and x0 + (x1 - x0) * (row + 0.5 - y0) / (y1 - y0) < column + 0.5
                for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True)
            )
            found[row, column] = crossed % 2 == 1
    return found


def held_together(mask: Mask) -> list[Mask]:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    return [labels == number for number in range(1, count + 1)]


@pytest.mark.parametrize("fill", [by_cocos_library, by_crossings])
@pytest.mark.parametrize("name", SHAPES)
def test_the_polygon_filled_again_is_the_region(name: str, fill: object) -> None:
    assert callable(fill)
    canvas = np.pad(drawn(name), ((2, 1), (1, 3)))
    for part in held_together(canvas):
        polygon = outline(part).ravel().astype(float).tolist()
        np.testing.assert_array_equal(fill(polygon, canvas.shape), part)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_polygons_of_any_mask_fill_to_it(mask: Mask) -> None:
    found = regions_of(mask)
    np.testing.assert_array_equal(filled(found, mask.shape), mask)
    together = np.zeros(mask.shape, bool)
    for part, region in zip(
        held_together(mask), sorted(found, key=lambda one: first_pixel(one, mask.shape)), strict=True
    ):
        polygon = [float(v) for v in region.polygon]
        np.testing.assert_array_equal(by_cocos_library(polygon, mask.shape), part)
        together |= by_crossings(polygon, mask.shape)
    np.testing.assert_array_equal(together, mask)


def first_pixel(region: Region, size: tuple[int, int]) -> int:
    return int(np.flatnonzero(by_crossings(list(region.polygon), size))[0])


def test_an_outline_has_its_corners_alone() -> None:
    assert outline(drawn("bar")).tolist() == [[0, 0], [3, 0], [3, 1], [0, 1]]
    assert outline(drawn("l")).tolist() == [[0, 0], [1, 0], [1, 2], [3, 2], [3, 3], [0, 3]]


def test_a_hole_is_joined_by_a_way_without_width() -> None:
    polygon = outline(drawn("ring"))
    assert [tuple(point) for point in polygon.tolist()].count((1, 1)) == 2  # there and back
    x, y = polygon[:, 0], polygon[:, 1]
    assert abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2 == 12  # the shoelace area, hole taken off


def test_box_area_centroid_and_scores_as_counted_by_hand() -> None:
    scores = np.zeros((12, 20), np.float32)
    scores[2:5, 3:7] = [[2, 2, 2, 2], [2, 4, 2, 2], [2, 2, 2, 2]]
    scores[8:10, 10:16] = 3
    scores[9, 15] = 9
    first, second = find_regions(scores, scores.shape, threshold=1.5)
    assert first[:4] == (10, 8, 6, 2)
    assert (first.area, first.centroid_x, first.centroid_y) == (12, 13.0, 9.0)
    assert [first.peak, first.mean] == pytest.approx([9, (11 * 3 + 9) / 12])
    assert first.polygon == (10, 8, 16, 8, 16, 10, 10, 10)
    assert second[:4] == (3, 2, 4, 3)
    assert (second.area, second.centroid_x, second.centroid_y) == (12, 5.0, 3.5)
    assert [second.peak, second.mean] == pytest.approx([4, 26 / 12])


def test_the_threshold_itself_is_no_region_and_corners_hold_together() -> None:
    scores = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 2]], np.float32)
    (region,) = find_regions(scores, scores.shape, threshold=1)
    assert region[:5] == (1, 1, 2, 2, 2)


def test_smaller_than_min_area_is_left_out() -> None:
    mask = np.zeros((20, 20), bool)
    mask[1:3, 1:3] = mask[8:10, 8:11] = mask[15, 15] = True
    assert [[one.area for one in regions_of(mask, min_area=least)] for least in (0, 1, 4, 5, 6, 7)] == [
        [4, 6, 1], [4, 6, 1], [4, 6], [6], [6], [],
    ]  # fmt: skip
    assert largest_area(regions_of(mask)) == 6
    assert largest_area([]) == 0


def test_maps_of_the_models_size_give_regions_of_the_photograph() -> None:
    small = np.zeros((10, 20), np.float32)
    small[4:6, 5:8] = 1
    size = (100, 160)  # each axis by itself
    wide = functional.interpolate(torch.from_numpy(small)[None, None], size=size, mode="bilinear")[0, 0].numpy()
    (region,) = find_regions(small, size, threshold=0.5)
    np.testing.assert_array_equal(filled([region], size), wide > 0.5)
    assert region[:4] == (40, 40, 24, 20)
    assert region.peak == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from([0.02, 0.3, 0.9]))
def test_the_part_that_is_computed_is_as_in_the_whole(seed: int, size: tuple[int, int], above: float) -> None:
    rng = np.random.default_rng(seed)
    small = rng.random(rng.integers(1, 14, 2)).astype(np.float32)
    threshold = float(np.quantile(small, 1 - above))
    found = find_regions(small, size, threshold=threshold)
    np.testing.assert_array_equal(filled(found, size), resize_map(small, size) > threshold)
    assert [one.peak for one in found] == sorted((one.peak for one in found), reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_a_map_is_resized_as_pytorch_does(seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    small = rng.normal(size=rng.integers(1, 20, 2)).astype(np.float32)
    theirs = functional.interpolate(torch.from_numpy(small)[None, None], size=size, mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(resize_map(small, size), theirs, atol=1e-5)
    half = (slice(size[0] // 2, None), slice(None, size[1] // 2 + 1))
    np.testing.assert_array_equal(resize_map(small, size, half), resize_map(small, size)[half])


def test_a_drawn_ellipse_is_found_where_it_was_drawn() -> None:
    picture = Image.new("L", (200, 120))
    ImageDraw.Draw(picture).ellipse((40, 30, 99, 69), fill=255)
    (region,) = regions_of(np.asarray(picture) > 0)
    assert region[:4] == (40, 30, 60, 40)
    assert [region.centroid_x, region.centroid_y] == pytest.approx([70, 50], abs=0.1)
    assert region.area == pytest.approx(math.pi * 30 * 20, rel=0.02)


def test_millimetres_are_pixels_times_their_size() -> None:
    (region,) = regions_of(np.pad(np.ones((4, 10), bool), 2))
    found = as_record(region, 0.5)
    assert [found[f"{name}_mm"] for name in ("x", "y", "width", "height")] == [1, 1, 5, 2]
    assert (found["centroid_x_mm"], found["centroid_y_mm"], found["area_mm2"]) == (3.5, 2, 10)
    assert found["polygon"] == [2, 2, 12, 2, 12, 6, 2, 6]
    unknown = as_record(region, None)
    assert [name for name, value in unknown.items() if value is None] == [
        "x_mm", "y_mm", "width_mm", "height_mm", "centroid_x_mm", "centroid_y_mm", "area_mm2",
    ]  # fmt: skip


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_is_refused(broken: float) -> None:
    scores = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="NaN or infinite, so it has no regions"):
        find_regions(scores, scores.shape, threshold=broken)
    scores[1, 1] = broken
    with pytest.raises(ValueError, match="NaN or infinite, so it has no regions"):
        find_regions(scores, scores.shape, threshold=0.5)


@pytest.mark.parametrize("rule", [RegionRule(-1), RegionRule(True), RegionRule(2.5)])  # type: ignore[arg-type]
def test_an_area_that_is_none_is_refused(rule: RegionRule) -> None:
    with pytest.raises(ValueError, match=r"min_area is .*; allowed: a whole number of pixels, 0 or more"):
        check_rule(rule)


@pytest.mark.parametrize("scale", [0, -0.1, math.nan, math.inf])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"mm_per_pixel is .*; allowed: a number above 0"):
        check_rule(RegionRule(0, scale))
    assert check_rule(RegionRule(5, 0.05)) == (5, 0.05)
