"""Regions found, by maps and masks drawn by hand whose answer can be counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from fastflow.by_region import false_regions, judge_picture, recall, recall_by_size
from fastflow.evaluation import Scored, judge_regions
from fastflow.regions import find_regions

Mask = NDArray[np.bool_]


def picture(*boxes: tuple[int, int, int, int], size: int = 40) -> Mask:
    """Boxes of top, left, height and width."""
    mask = np.zeros((size, size), bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def judged(predicted: Mask, true: Mask) -> tuple[list[int], list[bool], int]:
    regions = find_regions(predicted.astype(np.float32), predicted.shape, threshold=0.5)
    return tuple(judge_picture(regions, true))  # type: ignore[return-value]


def test_a_shared_pixel_finds_and_a_region_that_shares_none_is_false() -> None:
    true = picture((2, 2, 4, 4), (20, 20, 3, 5), (35, 2, 1, 1))
    predicted = picture((5, 5, 6, 6), (30, 30, 2, 2), (10, 30, 3, 3))
    assert judged(predicted, true) == ([16, 15, 1], [True, False, False], 2)


def test_one_region_may_find_several_and_several_find_one() -> None:
    two = picture((2, 2, 3, 3), (2, 10, 3, 3))
    assert judged(picture((3, 0, 1, 20)), two) == ([9, 9], [True, True], 0)
    assert judged(two, picture((3, 0, 1, 20))) == ([20], [True], 0)


def test_pixels_beside_a_region_do_not_find_it() -> None:
    """Its box holds the defect, the region itself does not."""
    corner = picture((2, 2, 1, 12), (2, 2, 12, 1))
    assert judged(corner, picture((8, 8, 3, 3))) == ([9], [False], 1)


def test_a_picture_without_defect_has_false_regions_alone() -> None:
    assert judged(picture((1, 1, 2, 2), (9, 9, 2, 2)), picture()) == ([], [], 2)
    assert judged(picture(), picture()) == ([], [], 0)


def test_what_a_mask_hides_is_neither_true_nor_false() -> None:
    hidden = np.ma.array(picture((2, 2, 4, 4)), mask=picture((20, 20, 10, 10)))
    assert judged(picture((22, 22, 2, 2), (3, 3, 1, 1)), hidden) == ([16], [True], 0)
    assert judged(picture((35, 35, 2, 2)), hidden) == ([16], [False], 1)


def test_recall_has_the_exact_limits() -> None:
    found = recall([True] * 7 + [False] * 3)
    limits = stats.binomtest(7, 10).proportion_ci(method="exact")  # Clopper and Pearson, by another hand
    assert (found["count"], found["total"]) == (7, 10)
    assert [found["low"], found["high"]] == pytest.approx([limits.low, limits.high])
    assert recall([]) == {"count": 0, "total": 0, "low": 0, "high": 1}


def test_size_classes_count_each_region_once() -> None:
    areas = [1, 3, 4, 15, 16, 63, 64, 4096]
    found = [True, False, True, True, False, False, True, True]
    rows = recall_by_size(areas, found)
    assert [(row["from"], row["to"], row["count"], row["total"]) for row in rows] == [
        (1, 4, 1, 2), (4, 16, 2, 2), (16, 64, 0, 2), (64, 256, 1, 1), (4096, 16384, 1, 1),
    ]  # fmt: skip
    assert recall_by_size([], []) == []


def test_false_regions_of_good_pictures() -> None:
    found = false_regions([0, 3, 0, 1])
    assert (found["pictures"], found["regions"], found["per_picture"]) == (4, 4, 1.0)
    assert (found["count"], found["total"]) == (2, 4)
    assert false_regions([])["per_picture"] is None


def test_pictures_are_judged_in_their_own_pixels(tmp_path: Path) -> None:
    """Maps of 20 x 20, photographs of 40 x 40: areas, limits and overlaps are those of the photographs."""
    masks = {"a": picture((4, 4, 8, 8), (30, 30, 2, 3)), "b": picture((20, 4, 4, 4))}
    rows = []
    for name, kind, label in (("g", "good", 0), ("h", "good", 0), ("a", "dent", 1), ("b", "hole", 1), ("c", "hole", 1)):
        if name in masks:
            Image.fromarray(masks[name]).save(tmp_path / f"{name}_mask.png")
        path = f"{name}_mask.png" if name in masks else ""
        rows.append({"image_path": f"{name}.png", "defect_type": kind, "gt_label": label, "mask_path": path})
    maps = {
        "g": picture(size=20), "h": picture((2, 2, 3, 3), (12, 12, 1, 1), size=20),
        "a": picture((2, 2, 4, 4), (2, 12, 4, 4), size=20), "b": picture(size=20), "c": picture((0, 0, 5, 5), size=20),
    }  # fmt: skip
    scored = Scored(np.zeros(5, np.float32), [one.astype(np.float32) for one in maps.values()], [(40, 40)] * 5, 1.0)
    found = judge_regions(pd.DataFrame(rows), scored, tmp_path, threshold=0.5)
    assert found.true.to_dict("list") == {
        "image_path": ["a.png", "a.png", "b.png"],
        "defect_type": ["dent", "dent", "hole"],
        "area": [64, 6, 16],
        "found": [True, False, False],
    }
    assert (found.false_in_good, found.false_in_defective, found.without_mask) == ([0, 2], 1, 1)
    larger = judge_regions(pd.DataFrame(rows), scored, tmp_path, threshold=0.5, min_area=20)
    assert larger.false_in_good == [0, 1]  # the one of a pixel of the map is gone
