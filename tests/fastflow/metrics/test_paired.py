"""The paired bootstrap against resampling written out; the exact limits and tests against SciPy's."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from fastflow.metrics.bootstrap import pixel_histograms
from fastflow.metrics.paired import aupro_difference, auroc_difference, auroc_lower_limit
from fastflow.metrics.pixel import pixel_metrics
from fastflow.metrics.rates import sign_test, upper_limit
from fastflow.metrics.regions import split_images

LABEL = np.repeat([0, 1], 40)
SCORES = np.random.default_rng(0).normal(0, 0.9, 80) + 2 * LABEL
OTHER = SCORES + np.random.default_rng(1).normal(0, 1.5, 80)


def test_an_aurocs_limits_are_those_of_resampled_aurocs() -> None:
    found = auroc_difference(SCORES, OTHER, LABEL, confidence=0.95, resamples=4000)
    assert found.value == pytest.approx(roc_auc_score(LABEL, OTHER) - roc_auc_score(LABEL, SCORES))
    draw = np.random.default_rng(5)
    alone, differences = [], []
    for _ in range(2000):
        rows = np.r_[draw.integers(0, 40, 40), draw.integers(40, 80, 40)]
        both = [roc_auc_score(LABEL[rows], scores[rows]) for scores in (SCORES, OTHER)]
        alone.append(both[1])
        differences.append(both[1] - both[0])
    assert [found.lower, found.upper] == pytest.approx(np.quantile(differences, [0.05, 0.95]), abs=0.01)
    lower = auroc_lower_limit(OTHER, LABEL, confidence=0.95, resamples=4000)
    assert lower == pytest.approx(np.quantile(alone, 0.05), abs=0.005)


@pytest.mark.parametrize("images", [(3, 40), (10, 10)])
def test_a_faultless_ranking_has_an_exact_limit(images: tuple[int, int]) -> None:
    """A model of that AUROC ranks as many images without a mistake in at most 5 of 100 sets, simulated."""
    label = np.repeat([0, 1], images)
    lower = auroc_lower_limit(label, label, confidence=0.95, resamples=200)
    assert lower == pytest.approx(0.05 ** (1 / min(images)))
    draw = np.random.default_rng(0)
    sets = draw.normal(size=(4000, len(label))) + np.sqrt(2) * norm.ppf(lower) * label
    faultless = sets[:, label == 1].min(axis=1) > sets[:, label == 0].max(axis=1)
    assert faultless.mean() <= 0.05


@pytest.mark.parametrize("images", [(3, 40), (40, 40)])
def test_where_no_resample_differs_the_limits_are_exact(images: tuple[int, int]) -> None:
    """Those of none of the rarer kind, by SciPy."""
    label = np.repeat([0, 1], images)
    found = auroc_difference(label, label * 2, label, confidence=0.95, resamples=200)
    none = binomtest(0, min(images), alternative="less").proportion_ci(confidence_level=0.95)
    assert found.exact
    assert (found.lower, found.upper) == pytest.approx((-none.high, none.high))
    assert not auroc_difference(SCORES, OTHER, LABEL, confidence=0.95, resamples=200).exact


def test_an_aupros_limits_are_those_of_resampled_aupros() -> None:
    """Whole images drawn again, and AUPRO by its definition, without bins, on each draw."""
    rng = np.random.default_rng(2)
    masks = [np.zeros((12, 12), bool) for _ in range(16)]
    for i, mask in enumerate(masks[8:]):
        mask[2:5, 1 + i % 5 : 5 + i % 5] = True
    label = np.repeat([0, 1], 8)
    first, second = ([mask * lift + rng.normal(0, 1, mask.shape) for mask in masks] for lift in (2.0, 1.0))
    before, after = (pixel_histograms(split_images(maps, masks)) for maps in (first, second))
    found = aupro_difference(before, after, label, confidence=0.95, resamples=2000)

    def aupro(maps: list[np.ndarray], rows: np.ndarray) -> float:
        value = pixel_metrics([maps[i] for i in rows], [masks[i] for i in rows])["aupro"].value
        assert value is not None
        return value

    assert found.value == pytest.approx(aupro(second, np.arange(16)) - aupro(first, np.arange(16)), abs=0.005)
    draw = np.random.default_rng(3)
    differences = []
    for _ in range(300):
        rows = np.r_[draw.integers(0, 8, 8), draw.integers(8, 16, 8)]
        differences.append(aupro(second, rows) - aupro(first, rows))
    assert [found.lower, found.upper] == pytest.approx(np.quantile(differences, [0.05, 0.95]), abs=0.02)


def test_one_label_alone_is_no_comparison() -> None:
    for label, word in ((np.zeros(80), "good"), (np.ones(80), "defective")):
        with pytest.raises(ValueError, match=f"only {word}"):
            auroc_difference(SCORES, OTHER, label, confidence=0.95, resamples=100)


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (0, 3), (1, 0), (4, 0), (3, 1), (5, 2), (10, 10), (40, 20)])
def test_the_sign_test_is_the_binomial_one(worse: int, better: int) -> None:
    expected = binomtest(worse, worse + better, alternative="greater").pvalue if worse + better else 1.0
    assert sign_test(worse, better) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "total"), [(0, 29), (1, 46), (5, 20), (20, 20)])
def test_the_upper_limit_is_clopper_and_pearsons(count: int, total: int) -> None:
    interval = binomtest(count, total, alternative="less").proportion_ci(confidence_level=0.95)
    assert upper_limit(count, total, confidence=0.95) == pytest.approx(interval.high)
