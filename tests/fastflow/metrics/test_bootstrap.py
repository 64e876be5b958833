"""Intervals: the sums behind them equal the metrics, and they cover what they promise to."""

import numpy as np
import pytest
from scipy import ndimage, stats

from fastflow.metrics import bootstrap
from fastflow.metrics.bootstrap import Histograms, image_intervals, mean_interval, pixel_histograms, pixel_intervals
from fastflow.metrics.image import image_ap, image_auroc, image_f1_max
from fastflow.metrics.pixel import pixel_metrics
from fastflow.metrics.rates import rate_interval
from fastflow.metrics.regions import split_images


def maps_and_masks(count: int = 12) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    maps, masks = [], []
    for i in range(count):
        anomaly_map = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 2)
        mask = np.zeros((64, 64), bool)
        for _ in range(i % 3):
            top, left = rng.integers(0, 50, 2)
            mask[top : top + rng.integers(2, 14), left : left + 9] = True
        maps.append((anomaly_map / anomaly_map.std() + 2 * mask).astype(np.float32))
        masks.append(mask)
    return maps, masks


def once(counts: Histograms) -> Histograms:
    """Every image drawn once."""
    return Histograms(*(part.sum(axis=0, keepdims=True) for part in counts))


def test_the_sums_of_all_images_give_the_exact_pixel_metrics_up_to_bins() -> None:
    maps, masks = maps_and_masks()
    sums = once(pixel_histograms(split_images(maps, masks)))
    exact = {name: value.value for name, value in pixel_metrics(maps, masks).items()}
    assert bootstrap.auroc(sums)[0] == pytest.approx(exact["pixel_auroc"], abs=2e-3)
    assert bootstrap.average_precision(sums)[0] == pytest.approx(exact["pixel_ap"], abs=5e-3)
    assert bootstrap.f1_max(sums)[0] == pytest.approx(exact["pixel_f1_max_oracle"], abs=5e-3)
    assert bootstrap.aupro(sums, 0.3)[0] == pytest.approx(exact["aupro"], abs=2e-3)
    assert bootstrap.aupro(sums, 0.05)[0] == pytest.approx(exact["aupro_005"], abs=5e-3)


def test_a_drawn_image_counts_as_often_as_it_is_drawn() -> None:
    """Against drawing for real: the metrics of repeated maps."""
    maps, masks = maps_and_masks()
    counts = pixel_histograms(split_images(maps, masks))
    drawn = np.random.default_rng(3).integers(0, len(maps), len(maps))
    weights = np.bincount(drawn, minlength=len(maps))[None].astype(float)
    sums = Histograms(*(weights @ part for part in counts))
    exact = {n: v.value for n, v in pixel_metrics([maps[i] for i in drawn], [masks[i] for i in drawn]).items()}
    assert bootstrap.auroc(sums)[0] == pytest.approx(exact["pixel_auroc"], abs=2e-3)
    assert bootstrap.aupro(sums, 0.3)[0] == pytest.approx(exact["aupro"], abs=2e-3)


def test_image_intervals_are_those_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], [20, 30])
    score = np.round(rng.normal(label * 1.0), 1)  # with ties
    found = image_intervals(score, label)
    plain: dict[str, list[float]] = {"image_auroc": [], "image_ap": [], "image_f1_max_oracle": []}
    for _ in range(1500):
        drawn = np.r_[rng.integers(0, 20, 20), rng.integers(20, 50, 30)]
        for name, metric in zip(plain, (image_auroc, image_ap, image_f1_max), strict=True):
            plain[name].append(metric(score[drawn], label[drawn]).value or 0.0)
    for name, values in plain.items():
        assert found[name] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.02)


def test_intervals_cover_the_true_auroc() -> None:
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], [40, 40])
    true = stats.norm.cdf(1.2 / np.sqrt(2))  # P(N(1.2, 1) > N(0, 1))
    limits = [image_intervals(rng.normal(1.2 * label), label, seed=i)["image_auroc"] for i in range(200)]
    covered = sum(low <= true <= high for low, high in limits)
    assert covered >= stats.binom(200, 0.95).ppf(1e-4)  # fewer would happen once in ten thousand


def test_what_cannot_be_drawn_again_has_no_interval() -> None:
    assert image_intervals([0.1, 0.2, 0.9], [0, 0, 1]) == {}
    maps, masks = maps_and_masks(3)
    assert pixel_intervals(maps, masks, [0, 0, 1]) == {}
    assert mean_interval([0.5]) is None


def test_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    half = 1.96 * values.std() / 20
    assert mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=2e-3)


@pytest.mark.parametrize(("count", "total"), [(0, 20), (3, 20), (20, 20), (1, 400)])
def test_rate_limits_leave_2_5_percent_on_each_side(count: int, total: int) -> None:
    low, high = rate_interval(count, total)
    if count:
        assert stats.binom.sf(count - 1, total, low) == pytest.approx(0.025)
    else:
        assert low == 0
    if count < total:
        assert stats.binom.cdf(count, total, high) == pytest.approx(0.025)
    else:
        assert high == 1


def test_rates_of_nothing_and_impossible_ones() -> None:
    assert rate_interval(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="3 of 2 is no rate"):
        rate_interval(3, 2)
