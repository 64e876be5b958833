"""AUPIMO against its definition: a numerical integral over log FPR of the recall at each rate."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastflow.metrics.aupimo import aupimo
from fastflow.metrics.value import Value

Maps = list[NDArray[np.floating]]
Masks = list[NDArray[np.bool_] | None]


def reference(maps: Maps, masks: Masks, bounds: tuple[float, float]) -> list[float | None]:
    """Integrate, over log FPR, the recall at the lowest threshold whose FPR does not exceed each rate.

    The recall is constant between the FPRs that thresholds reach: its value in the middle, times the width.
    """
    normal = [m for m, mask in zip(maps, masks, strict=True) if mask is None or not mask.any()]
    thresholds = np.array([*np.unique(np.concatenate([m.ravel() for m in maps])), np.inf])
    fprs = np.array([np.mean([np.mean(m >= t) for m in normal]) for t in thresholds])
    edges = np.array([bounds[0], *sorted(f for f in set(fprs) if bounds[0] < f < bounds[1]), bounds[1]])
    widths = np.diff(np.log(edges)) / math.log(bounds[1] / bounds[0])
    lowest = [thresholds[fprs <= rate].min() for rate in np.sqrt(edges[1:] * edges[:-1])]

    def area(scores: NDArray[np.floating]) -> float:
        return float(sum(width * np.mean(scores >= t) for width, t in zip(widths, lowest, strict=True)))

    defects = [None if mask is None or not mask.any() else m[mask] for m, mask in zip(maps, masks, strict=True)]
    return [None if defect is None else area(defect) for defect in defects]


def random_case(seed: int, levels: int) -> tuple[Maps, Masks]:
    random = np.random.default_rng(seed)
    shapes = [(8, 6), (8, 6), (5, 5), (10, 3), (6, 6)]
    maps: Maps = [(random.integers(0, levels, shape) / 3).astype(np.float32) for shape in shapes]
    masks: Masks = [None, np.zeros((8, 6), bool), None, random.random((10, 3)) < 0.3, random.random((6, 6)) < 0.5]
    for mask in masks[3:]:
        assert mask is not None
        mask[0, 0] = True
    return maps, masks


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.sampled_from([3, 10, 60]))
def test_aupimo_equals_the_integral(seed: int, levels: int) -> None:
    maps, masks = random_case(seed, levels)
    bounds = (0.01, 0.3)  # so that small maps reach many rates
    result = aupimo(maps, masks, fpr_bounds=bounds)
    expected = reference(maps, masks, bounds)
    for got, value in zip(result.per_image, expected, strict=True):
        assert got.value == (None if value is None else pytest.approx(value, abs=1e-9))
    defined = [v.value for v in result.per_image if v.value is not None]
    assert result.mean.value == pytest.approx(np.mean(defined), abs=1e-12)


def test_one_defect_pixel_in_closed_form() -> None:
    normal = np.arange(200_000, dtype=np.float64).reshape(400, 500)
    # 6 of 200,000 normal pixels are at or above it: found from 3e-5 on
    defect = np.array([[199_993.5, 0.0]])
    result = aupimo([normal, defect], [None, np.array([[True, False]])])
    assert result.mean.value == pytest.approx(math.log(1e-4 / 3e-5) / math.log(10), abs=1e-12)
    assert result.per_image == [Value(None, "the image is normal"), result.mean]


def test_normal_images_count_alike_whatever_their_size() -> None:
    small, large = np.zeros((1, 10)), np.zeros((10, 100))
    small[0, 0] = 5  # shared FPR at 5: (1/10 + 0) / 2
    result = aupimo([small, large, np.full((1, 1), 5.0)], [None, None, np.ones((1, 1))], fpr_bounds=(0.01, 0.25))
    assert result.mean.value == pytest.approx(math.log(0.25 / 0.05) / math.log(25), abs=1e-12)


def test_background_of_anomalous_images_does_not_count() -> None:
    anomalous = np.array([[9.0, 9.0, 9.0, 5.0]])
    mask = np.array([[False, False, False, True]])
    assert aupimo([np.zeros((2, 2)), anomalous], [None, mask]).mean == Value(1.0)


def test_a_constant_map_finds_nothing_and_a_tie_counts_against() -> None:
    mask = np.array([[True, False]])
    assert aupimo([np.ones((1, 2))] * 2, [None, mask]).mean == Value(0.0)


def test_undefined_is_none_with_a_reason() -> None:
    ones = np.ones((2, 2))
    assert aupimo([ones], [np.eye(2)]).mean == Value(None, "there is no normal image")
    assert aupimo([ones], [np.eye(2)]).per_image == [Value(None, "there is no normal image")]
    assert aupimo([ones], [None]).mean == Value(None, "there is no anomalous image")
    assert aupimo([ones], [None]).per_image == [Value(None, "the image is normal")]
    assert aupimo([], []).mean == Value(None, "there is no anomalous image")


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"b\.png: 4 of 4 scores of the anomaly map are NaN or infinite"):
        aupimo([np.ones((2, 2)), np.full((2, 2), np.nan)], [None, None], image_paths=["a.png", "b.png"])
    for bounds in ((0.0, 0.1), (0.2, 0.1), (0.1, 2.0)):
        with pytest.raises(ValueError, match="fpr_bounds: got"):
            aupimo([np.ones((2, 2))], [None], fpr_bounds=bounds)
