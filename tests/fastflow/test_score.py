"""Scores of positions, maps and images against their definitions, by hand and by SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from fastflow.model import FastFlow
from fastflow.score import (
    SCORES,
    NormalRange,
    ScoreRule,
    blur,
    image_score,
    merge_scales,
    position_score,
    raw_score,
    scale_weights,
    total_nll,
)
from tests.conftest import shake, tiny_config

NORMAL = NormalRange(torch.tensor(2.0), torch.tensor(0.5))


def test_total_nll_is_the_negative_log_density() -> None:
    z, log_det = torch.randn(2, 6, 3, 3), torch.randn(2, 3, 3)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1) + log_det
    torch.testing.assert_close(total_nll(z, log_det), -density.sum())


def test_paper_score_is_as_published_and_ignores_the_determinant() -> None:
    z = torch.randn(1, 4, 2, 2)
    normal = NormalRange(torch.tensor(0.0), torch.tensor(1.0))
    score = position_score(z, torch.randn(1, 2, 2), rule=SCORES["paper"], normal=normal)
    torch.testing.assert_close(score, -torch.exp(-0.5 * (z**2).mean(1)))


def test_merged_map_of_constant_scales_is_their_mean() -> None:
    merged = merge_scales([torch.full((1, 4, 4), 1.0), torch.full((1, 2, 2), 4.0)], image_size=(8, 6), smoothing=0.0)
    torch.testing.assert_close(merged, torch.full((1, 1, 8, 6), 2.5))


def test_scales_weigh_by_the_area_that_a_position_stands_for() -> None:
    sizes = [(64, 64), (32, 32), (16, 16)]  # strides 4, 8, 16 of 256 px: 16, 64 and 256 pixels a position
    assert scale_weights(sizes, kind="area") == pytest.approx([16 / 336, 64 / 336, 256 / 336])
    assert scale_weights(sizes, kind="equal") is None
    assert scale_weights([(16, 16)], kind="area") is None
    scores = [torch.full((1, 4, 4), 1.0), torch.full((1, 2, 2), 4.0)]
    merged = merge_scales(scores, image_size=(8, 6), smoothing=0.0, weights=[0.25, 0.75])
    torch.testing.assert_close(merged, torch.full((1, 1, 8, 6), 3.25))


def test_the_map_weighs_scales_alike_and_the_image_score_by_area() -> None:
    """Against a merge by hand of each scale's position scores."""
    rule = SCORES["likelihood_by_area"]
    model = FastFlow(tiny_config(score="likelihood_by_area"))
    shake(model.flows, scale=0.05)
    features = [torch.randn(2, c, *size) for c, size in zip(
        model.backbone.channels, model.backbone.feature_sizes, strict=True)]  # fmt: skip
    scores = [
        position_score(z, log_det, rule=rule, normal=NormalRange(torch.tensor(0.0), torch.tensor(1.0)))
        for z, log_det in model.latents(features)
    ]
    size = {"image_size": model.config.image_size, "smoothing": 1 / 64}
    fine, coarse = (merge_scales([s], **size) for s in scores)  # type: ignore[arg-type]
    found = model.score(features)
    torch.testing.assert_close(found.anomaly_map, (fine + coarse) / 2)
    expected = image_score((fine + 4 * coarse) / 5, top_fraction=0.02)
    torch.testing.assert_close(found.pred_score, expected)


def test_blur_is_scipys_gaussian() -> None:
    image = torch.rand(2, 1, 40, 50, dtype=torch.float64)
    expected = ndimage.gaussian_filter(image.numpy(), sigma=(0, 0, 2.5, 2.5), mode="nearest", radius=(0, 0, 8, 8))
    np.testing.assert_allclose(blur(image, sigma=2.5).numpy(), expected, rtol=1e-9)


def test_latents_beyond_floating_point_are_as_anomalous_as_can_be() -> None:
    z = torch.zeros(1, 2, 2, 2)
    z[0, 0, 0, 0], z[0, 0, 1, 1] = torch.inf, torch.nan
    normal = NormalRange(torch.tensor(1.0), torch.tensor(0.5))
    score = position_score(z, torch.zeros(1, 2, 2), rule=SCORES["likelihood"], normal=normal)
    assert score.flatten().tolist() == pytest.approx([1.0, score[0, 0, 1].item(), score[0, 1, 0].item(), 1.0])
    assert score[0, 0, 1] < 0.5


def test_image_score_is_the_maximum_or_the_mean_of_the_top() -> None:
    pixels = torch.arange(100.0).view(1, 1, 10, 10)
    assert image_score(pixels, top_fraction=0.0).item() == 99
    assert image_score(pixels, top_fraction=0.1).item() == pytest.approx(sum(range(90, 100)) / 10)


def test_a_raw_score_is_the_density_per_dimension() -> None:
    """With the whole determinant the negative log-likelihood of a position, by its channels; SciPy has the density."""
    z, log_det = torch.randn(2, 6, 3, 4), torch.randn(2, 3, 4)
    density = stats.norm.logpdf(z.numpy()).mean(axis=1)
    for weight in (0.0, 0.5, 1.0):
        expected = -density - weight * log_det.numpy() / 6
        np.testing.assert_allclose(raw_score(z, log_det, log_det_weight=weight).numpy(), expected, rtol=1e-5)


def test_the_named_rules_score_as_they_say() -> None:
    z, log_det = 2 * torch.randn(2, 6, 3, 4), torch.randn(2, 3, 4)
    density = -stats.norm.logpdf(z.numpy()).mean(axis=1)
    nll = position_score(z, log_det, rule=SCORES["nll"], normal=NORMAL)
    np.testing.assert_allclose(nll.numpy(), density - log_det.numpy() / 6, rtol=1e-5)
    for name in ("likelihood", "likelihood_by_area"):
        found = position_score(z, log_det, rule=SCORES[name], normal=NORMAL)
        odds = (density - 0.5 * log_det.numpy() / 6 - 2.0) / 0.5
        np.testing.assert_allclose(found.numpy(), 1 / (1 + np.exp(-odds)), rtol=1e-4)


def test_bounds_are_those_of_scores() -> None:
    assert {name: rule.bounds for name, rule in SCORES.items()} == {
        "paper": (-1.0, 0.0), "nll": None, "likelihood": (0.0, 1.0), "likelihood_by_area": (0.0, 1.0),
    }  # fmt: skip
    assert [rule.image_weights for rule in SCORES.values()] == ["equal", "equal", "equal", "area"]


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_a_broken_position_is_the_most_anomalous_of_its_rule(broken: float) -> None:
    log_det = torch.zeros(1, 1, 2)
    log_det[0, 0, 0] = broken
    highest = torch.finfo(torch.float32).max
    for rule, expected in ((ScoreRule(1.0, "none", 0.0, 0.0), highest), (ScoreRule(1.0, "sigmoid", 0.0, 0.0), 1.0)):
        score = position_score(torch.zeros(1, 2, 1, 2), log_det, rule=rule, normal=NORMAL)
        assert score[0, 0, 0] == expected
        assert score[0, 0, 1] < 1
    z = torch.zeros(1, 2, 1, 2)
    z[0, 0, 0, 0] = broken
    assert position_score(z, torch.zeros(1, 1, 2), rule=SCORES["paper"], normal=NORMAL).tolist() == [[[0.0, -1.0]]]


def test_scales_are_enlarged_bilinearly_about_the_centres_of_pixels() -> None:
    """By hand: two positions on four pixels, whose centres lie at 1/4 and 3/4 of a position around each centre."""
    merged = merge_scales([torch.tensor([[[0.0, 4.0], [0.0, 4.0]]])], image_size=(2, 4), smoothing=0.0)
    assert merged.tolist() == [[[[0.0, 1.0, 3.0, 4.0]] * 2]]


def test_a_map_is_smoothed_by_a_fraction_of_its_height() -> None:
    """SciPy's Gaussian of 1/16 of 32 rows, whatever the width; weights may have any sum."""
    scores = [torch.rand(1, 32, 48, dtype=torch.float64), torch.rand(1, 32, 48, dtype=torch.float64)]
    merged = merge_scales(scores, image_size=(32, 48), smoothing=1 / 16, weights=[2.0, 3.0])
    whole = (2 * scores[0] + 3 * scores[1])[0].numpy()
    np.testing.assert_allclose(merged[0, 0].numpy(), ndimage.gaussian_filter(whole, 2.0, mode="nearest", radius=6))
    with pytest.raises(ValueError, match="longer than"):
        merge_scales(scores, image_size=(32, 48), smoothing=0.0, weights=[1.0])


def test_the_narrowest_blur_has_one_neighbour_on_each_side() -> None:
    image = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    image[0, 0, 2, 2] = 1.0
    side = math.exp(-1 / (2 * 0.1**2))
    row = np.array([0, side, 1, side, 0]) / (1 + 2 * side)
    np.testing.assert_allclose(blur(image, sigma=0.1)[0, 0].numpy(), np.outer(row, row), atol=1e-30)


def test_areas_are_those_of_any_shape() -> None:
    assert scale_weights([(8, 6), (4, 3), (4, 6)], kind="area") == pytest.approx([1 / 7, 4 / 7, 2 / 7])


def test_an_image_score_is_taken_of_each_image_alone() -> None:
    maps = torch.arange(200.0).view(2, 1, 10, 10)
    for fraction, count in ((0.0, 1), (0.001, 1), (0.014, 1), (0.026, 3), (0.1, 10)):
        expected = [np.mean(sorted(one.flatten())[-count:]) for one in maps.numpy()]
        assert image_score(maps, top_fraction=fraction).tolist() == pytest.approx(expected)


def test_the_pixels_inside_alone_count() -> None:
    """Of three pictures in one frame of 10 x 10 pixels: all of it, half of it and five pixels, at 10 % and at 0."""
    maps = torch.rand(3, 1, 10, 10, dtype=torch.float64)
    maps[:, :, 5:] += 5  # what lies outside of the second and the third is higher
    inside = torch.ones(3, 1, 10, 10, dtype=torch.bool)
    inside[1, :, 5:] = inside[2, :, 1:] = inside[2, :, :, 5:] = False
    for fraction, counts in ((0.1, (10, 5, 1)), (0.0, (1, 1, 1)), (0.25, (25, 12, 1))):
        pixels = [np.sort(one[where].numpy()) for one, where in zip(maps, inside, strict=True)]
        expected = [one[-count:].mean() for one, count in zip(pixels, counts, strict=True)]
        found = image_score(maps, top_fraction=fraction, inside=inside)
        assert found.tolist() == pytest.approx(expected)
