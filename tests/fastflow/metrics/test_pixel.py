"""Pixel metrics against their definitions, written out here by brute force, and against scikit-learn."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from fastflow.metrics.pixel import pixel_metrics, pro_curve
from fastflow.metrics.value import Value

Maps = list[NDArray[np.floating]]
Masks = list[NDArray[np.bool_]]

quick = settings(deadline=None, max_examples=50)


def aupro(maps: Sequence[Any], masks: Sequence[Any], *, fpr_limit: float = 0.3) -> Value:
    """The one metric by its limit."""
    return list(pixel_metrics(maps, masks, fpr_limits=[fpr_limit]).values())[-1]


def regions(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The 8-connected components of a mask, by flood fill."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        todo, region = [left.pop()], np.zeros_like(mask)
        while todo:
            y, x = todo.pop()
            region[y, x] = True
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            todo += near
        found.append(region)
    return found


def pro_points(maps: Maps, masks: Masks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FPR and PRO at every distinct score, after (0, 0)."""
    of_regions = [m[region] for m, mask in zip(maps, masks, strict=True) for region in regions(mask)]
    background = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    thresholds = np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]
    fpr = np.mean(background >= thresholds[:, None], axis=1)
    pro = np.mean([np.mean(scores >= thresholds[:, None], axis=1) for scores in of_regions], axis=0)
    return np.array([0, *fpr]), np.array([0, *pro])


def area_up_to(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Trapezoids up to the limit, the last one cut by linear interpolation, over the limit."""
    inside = x < limit
    after = int(inside.sum())  # the first point at or beyond the limit
    slope = (y[after] - y[after - 1]) / (x[after] - x[after - 1])
    end = y[after - 1] + slope * (limit - x[after - 1])
    return float(np.trapezoid([*y[inside], end], [*x[inside], limit])) / limit


def random_case(seed: int, levels: int, density: float, sizes: list[tuple[int, int]]) -> tuple[Maps, Masks]:
    random = np.random.default_rng(seed)
    maps: Maps = [(random.integers(0, levels, size) / 7).astype(np.float32) for size in sizes]
    masks = [random.random(size) < density for size in sizes]
    masks[0][0, 0], masks[-1][-1, -1] = True, False  # both classes
    return maps, masks


cases = st.builds(
    random_case,
    st.integers(0, 2**32),
    st.integers(1, 60),
    st.floats(0, 0.6),
    st.lists(st.tuples(st.integers(1, 9), st.integers(2, 9)), min_size=1, max_size=4),
)


@quick
@given(cases, st.sampled_from([0.3, 0.05, 0.001, 0.77, 1.0]))
def test_aupro_equals_its_definition(case: tuple[Maps, Masks], limit: float) -> None:
    expected = area_up_to(*pro_points(*case), limit)
    assert aupro(*case, fpr_limit=limit).value == pytest.approx(expected, abs=1e-9)


@quick
@given(cases)
def test_pixel_metrics_equal_scikit_learn(case: tuple[Maps, Masks]) -> None:
    scores = np.concatenate([m.ravel() for m in case[0]])
    defect = np.concatenate([mask.ravel() for mask in case[1]])
    got = pixel_metrics(*case)
    assert list(got) == ["pixel_auroc", "pixel_ap", "pixel_f1_max_oracle", "aupro", "aupro_005"]
    assert got["pixel_auroc"].value == pytest.approx(sklearn.roc_auc_score(defect, scores), abs=1e-12)
    assert got["pixel_ap"].value == pytest.approx(sklearn.average_precision_score(defect, scores), abs=1e-12)
    precisions, recalls, _ = sklearn.precision_recall_curve(defect, scores)
    best = np.max(2 * precisions * recalls / np.maximum(precisions + recalls, 1e-12))
    assert got["pixel_f1_max_oracle"].value == pytest.approx(best, abs=1e-12)


def test_without_ties_among_many_regions() -> None:
    random = np.random.default_rng(3)
    masks = [random.random((40, 30)) < 0.1 for _ in range(3)]
    maps: Maps = [random.normal(size=(40, 30)) + mask for mask in masks]
    assert sum(len(regions(mask)) for mask in masks) > 100
    for limit in (0.3, 0.05):
        expected = area_up_to(*pro_points(maps, masks), limit)
        assert aupro(maps, masks, fpr_limit=limit).value == pytest.approx(expected, abs=1e-9)


def test_hand_made_cases() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1]], bool)  # two regions, 8-connected, of two pixels
    perfect = mask.astype(np.float32)
    assert [value for value, _ in pixel_metrics([perfect], [mask]).values()] == [1.0] * 5
    assert [value for value, _ in pixel_metrics([-perfect], [mask]).values()][:1] == [0.0]
    assert aupro([-perfect], [mask]) == Value(0.0)
    constant = pixel_metrics([np.full((2, 4), 3.0)], [mask])  # the diagonal: area limit^2 / 2, over the limit
    assert constant["pixel_auroc"] == Value(0.5)
    assert constant["pixel_ap"] == Value(0.5)
    assert constant["aupro"].value == pytest.approx(0.15)
    assert constant["aupro_005"].value == pytest.approx(0.025)
    # one region found whole, the other not at all: every region has the same weight, whatever its size
    uneven = np.zeros((2, 5), bool)
    uneven[0, 0], uneven[:, 2:4] = True, True
    found = np.zeros((2, 5))
    found[0, 0] = 1
    found[:, 2:4] = -1
    assert aupro([found], [uneven]) == Value(0.5)


def test_one_pixel_each() -> None:
    found = pixel_metrics([np.array([[1.0, 2.0]])], [np.array([[0, 255]], np.uint8)])
    assert found["pixel_auroc"] == Value(1.0)
    assert aupro([np.array([[1.0]]), np.array([[2.0]])], [None, np.array([[1]])]) == Value(1.0)


def test_undefined_is_none_with_a_reason() -> None:
    no_defect = Value(None, "there is no anomalous pixel")
    for masks in ([None, None], [np.zeros((2, 3))] * 2):
        assert set(pixel_metrics([np.ones((2, 3))] * 2, masks).values()) == {no_defect}
    assert set(pixel_metrics([], []).values()) == {no_defect}
    all_defect = pixel_metrics([np.ones((2, 3))], [np.ones((2, 3))])
    no_background = Value(None, "there is no normal pixel")
    assert all_defect["pixel_auroc"] == all_defect["aupro"] == all_defect["aupro_005"] == no_background
    assert all_defect["pixel_ap"] == all_defect["pixel_f1_max_oracle"] == Value(1.0)
    assert len(pro_curve([np.ones((2, 3))], [None])) == 0


@quick
@given(cases)
def test_increasing_maps_image_order_and_precision_change_nothing(case: tuple[Maps, Masks]) -> None:
    maps, masks = case
    values = [value for value, _ in pixel_metrics(maps, masks).values()]
    for other in (
        pixel_metrics([np.exp(m.astype(np.float64)) - 100 for m in maps], masks),
        pixel_metrics(maps[::-1], masks[::-1]),
        pixel_metrics([(m * 7).astype(np.float16) for m in maps], [mask.astype(np.uint8) * 255 for mask in masks]),
    ):
        assert [value for value, _ in other.values()] == pytest.approx(values, abs=1e-12)


def test_float64_scores_are_not_rounded() -> None:
    maps = [np.array([[1.0, 1.0 + 1e-12]])]
    assert pixel_metrics(maps, [np.array([[False, True]])])["pixel_auroc"] == Value(1.0)


@quick
@given(cases)
def test_pro_curve_lies_on_the_definition(case: tuple[Maps, Masks]) -> None:
    curve = pro_curve(*case)
    fpr, pro = pro_points(*case)
    assert list(curve.columns) == ["fpr", "pro"]
    assert tuple(curve.iloc[0]) == (0, 0)
    assert tuple(curve.iloc[-1]) == pytest.approx((1, 1))
    assert curve.fpr.is_monotonic_increasing
    assert curve.pro.is_monotonic_increasing
    for x, y in curve.to_numpy():  # on a step any height between its ends, else the interpolated one
        on_step = pro[np.isclose(fpr, x, atol=1e-12)]
        if len(on_step):
            assert on_step.min() - 1e-9 <= y <= on_step.max() + 1e-9
        else:
            assert y == pytest.approx(np.interp(x, fpr, pro), abs=1e-9)


def test_pro_curve_is_thinned_evenly() -> None:
    random = np.random.default_rng(0)
    mask = random.random((200, 200)) < 0.2
    scores = random.normal(size=(200, 200)) + mask
    curve = pro_curve([scores], [mask])
    assert 250 < len(curve) <= 300
    assert curve.diff().iloc[1:].to_numpy().max() < 0.02
    inside = np.trapezoid(np.interp(grid := np.linspace(0, 0.3, 1000), curve.fpr, curve.pro), grid) / 0.3
    assert inside == pytest.approx(aupro([scores], [mask]).value, abs=1e-3)


def test_pro_stays_1_where_the_regions_shares_add_up_to_more() -> None:
    num_regions = 49
    assert np.full(num_regions, 1 / num_regions).cumsum()[-1] > 1, "by rounding"
    mask = np.arange(4 * num_regions)[None] % 4 == 0
    curve = pro_curve([np.arange(mask.size)[None] + 1000 * mask], [mask])
    assert curve.pro.max() == 1


MEMORY = """
import numpy as np
from fastflow.metrics.pixel import pixel_metrics

def image(index):
    random = np.random.default_rng(index)
    mask = np.zeros((1024, 1024), bool)
    if index % 4:
        mask[100:300, 200:400] = True
    return random.random((1024, 1024), np.float32) + mask / np.float32(8), mask

images = [image(index) for index in range(160)]
metrics = pixel_metrics([a for a, _ in images], [m for _, m in images])
assert 0.5 < metrics["pixel_auroc"].value < 0.7, metrics
# VmHWM and not ru_maxrss: the latter starts with what the process that forked us held
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0])
"""


@pytest.mark.slow
def test_160_maps_of_1024_pixels_fit_into_2_gib() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak_kib = int(done.stdout)
    assert 0.67e9 < peak_kib * 1024 < 2 * 2**30
