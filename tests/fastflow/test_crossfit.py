"""Cross-fitted scores: each image by a model that has not seen it, and all of it without touching the model."""

import pytest
import torch
from torch import Tensor

from fastflow.crossfit import MAP_STRIDE_PIXELS, assign_folds, held_out_scores, score_normal
from fastflow.model import FastFlow
from fastflow.operating import operating_point
from fastflow.train import Training, calibrate
from tests.conftest import tiny_config

SIZES = [(64, 16, 16), (128, 8, 8)]


def random_features(count: int) -> list[Tensor]:
    return [torch.randn(count, *size) for size in SIZES]


@pytest.mark.parametrize(("count", "folds"), [(7, 2), (9, 3), (5, 5)])
def test_folds_are_even_and_drawn_from_the_seed(count: int, folds: int) -> None:
    fold = assign_folds(range(count), folds=folds, seed=0)
    sizes = torch.bincount(fold, minlength=folds)
    assert sizes.sum() == count
    assert sizes.max() - sizes.min() <= 1
    assert torch.equal(fold, assign_folds(range(count), folds=folds, seed=0))
    assert any(not torch.equal(fold, assign_folds(range(count), folds=folds, seed=seed)) for seed in range(1, 5))


def test_no_image_is_scored_by_a_model_that_was_trained_on_it(tiny_model: FastFlow) -> None:
    features = random_features(7)
    seen: list[set[int]] = []

    def fit(model: FastFlow, rows: Tensor, number: int) -> None:
        seen.append(set(rows.tolist()))
        assert number == len(seen)
        model.normal_center.fill_(float(len(seen)))  # leaves its mark on the scores of its fold

    before = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    found = held_out_scores(tiny_model, features, contents=range(7), folds=3, seed=0, batch_size=2, fit=fit)
    assert found.folds == 3
    for image in range(7):
        assert image not in seen[found.fold[image]]
        assert sum(image in rows for rows in seen) == 2
        with torch.no_grad():  # the score is that of the fold's model, for this image and no other
            tiny_model.normal_center.fill_(float(found.fold[image] + 1))
            alone = tiny_model.score([f[image : image + 1] for f in features])
        torch.testing.assert_close(found.pred_score[image], alone.pred_score[0], rtol=1e-4, atol=1e-5)
        pixels = alone.anomaly_map[0, 0, ::MAP_STRIDE_PIXELS, ::MAP_STRIDE_PIXELS].flatten()
        torch.testing.assert_close(found.pixels[image], pixels, rtol=1e-4, atol=1e-5)
    tiny_model.normal_center.zero_()
    assert all(torch.equal(before[key], value) for key, value in tiny_model.state_dict().items())


def test_rows_left_out_have_no_say_in_training_or_calibration() -> None:
    features, other = random_features(6), random_features(6)
    rows = torch.tensor([0, 2, 5])
    changed = [f.clone() for f in features]
    for f, o in zip(changed, other, strict=True):
        f[[1, 3, 4]] = o[[1, 3, 4]]
    states = []
    for data in (features, changed):
        torch.manual_seed(0)
        model = FastFlow(tiny_config())
        settings = {"epochs": 2, "batch_size": 2, "learning_rate": 0.01, "weight_decay": 0.0, "seed": 0}
        list(Training(model, rows, **settings).run(data))  # type: ignore[arg-type]
        calibrate(model, data, batch_size=2, rows=rows)
        states.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))


def test_held_out_scores_of_an_overfitted_model_are_higher_than_its_own() -> None:
    """What cross-fitting is for: the training images' own scores flatter the model."""
    torch.manual_seed(0)
    model = FastFlow(tiny_config())
    features = random_features(8)

    def fit(part: FastFlow, rows: Tensor, number: int = 0) -> None:
        settings = {"epochs": 30, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.0, "seed": 0}
        list(Training(part, rows, **settings).run(features))  # type: ignore[arg-type]
        calibrate(part, features, batch_size=4, rows=rows)

    held_out = held_out_scores(model, features, contents=range(8), folds=2, seed=0, batch_size=4, fit=fit)
    fit(model, torch.arange(8))
    own = score_normal(model, features, batch_size=4)
    assert held_out.pred_score.min() > own.pred_score.max()
    points = [operating_point(n, false_reject_rate=0.2, bounds=model.rule.bounds) for n in (held_out, own)]
    assert points[0]["image"] > points[1]["image"]
    assert points[0]["guarantee"].startswith("approximate")
    assert points[1]["guarantee"].startswith("none: it comes from images that the model was trained on")


@pytest.mark.parametrize("contents", ["a", "aaaa"])
def test_one_image_and_its_copies_cannot_be_held_out(tiny_model: FastFlow, contents: str) -> None:
    features = random_features(len(contents))
    with pytest.raises(ValueError, match=f"got 2 folds and {len(contents)} images, of which 1 differ"):
        held_out_scores(tiny_model, features, contents=contents, folds=2, seed=0, batch_size=1, fit=lambda *_: None)


@pytest.mark.parametrize("contents", ["abcabcabc", "aaaabcde", "abab"])
def test_copies_share_a_fold_and_folds_stay_as_even_as_they_allow(contents: str) -> None:
    for seed in range(20):
        fold = assign_folds(contents, folds=2, seed=seed).tolist()
        assert len(set(zip(contents, fold, strict=True))) == len(set(contents))
        most = max(contents.count(content) for content in contents)
        assert abs(fold.count(0) - fold.count(1)) <= most
        assert {0, 1} == set(fold)


def test_no_copy_is_scored_by_a_model_that_has_seen_its_twin(tiny_model: FastFlow) -> None:
    contents, seen = "abcab", list[set[str]]()

    def fit(_: FastFlow, rows: Tensor, number: int) -> None:
        seen.append({contents[row] for row in rows.tolist()})

    features = random_features(len(contents))
    found = held_out_scores(tiny_model, features, contents=contents, folds=9, seed=0, batch_size=2, fit=fit)
    assert found.folds == len(seen) == 3
    assert all(content not in seen[fold] for content, fold in zip(contents, found.fold.tolist(), strict=True))
