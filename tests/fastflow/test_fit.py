"""The fit: one place, the same bits however it is interrupted, and hooks that say what happens."""

import copy

import pytest
import torch
from torch import Tensor

from fastflow.crossfit import assign_folds, score_normal
from fastflow.fit import FINAL, Fitted, Hooks, Progress, fit
from fastflow.model import FastFlow
from fastflow.train import Pace, Training, calibrate
from tests.conftest import tiny_config

COUNT, EPOCHS, FOLDS = 7, 2, 3
SETTINGS = {"epochs": EPOCHS, "batch_size": 3, "learning_rate": 0.004, "weight_decay": 0.0, "seed": 5}


@pytest.fixture
def features() -> list[Tensor]:
    return [torch.randn(COUNT, 64, 16, 16), torch.randn(COUNT, 128, 8, 8)]


def fitted(
    fresh: FastFlow, features: list[Tensor], *, folds: int | None = FOLDS, hooks: Hooks | None = None
) -> tuple[FastFlow, Fitted]:
    model = copy.deepcopy(fresh)
    return model, fit(model, features, folds=folds, inference_batch=4, hooks=hooks, **SETTINGS)  # type: ignore[arg-type]


def by_hand(fresh: FastFlow, features: list[Tensor], rows: Tensor) -> FastFlow:
    model = copy.deepcopy(fresh)
    list(Training(model, rows, **SETTINGS).run(features))  # type: ignore[arg-type]
    calibrate(model, features, batch_size=3, rows=rows)
    return model


def same(a: FastFlow, b: FastFlow) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_it_is_a_training_on_all_images_and_one_without_each_fold(tiny_model: FastFlow, features: list[Tensor]) -> None:
    model, (epochs, normal, *_) = fitted(tiny_model, features)
    assert same(model, by_hand(tiny_model, features, torch.arange(COUNT)))
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert torch.equal(normal.fold, assign_folds(range(COUNT), folds=FOLDS, seed=5))
    for fold in range(FOLDS):
        held_out = torch.nonzero(normal.fold == fold)[:, 0]
        other = by_hand(tiny_model, features, torch.nonzero(normal.fold != fold)[:, 0])
        expected = score_normal(other, features, batch_size=4, rows=held_out).pred_score
        assert torch.equal(normal.pred_score[held_out], expected)


def test_without_folds_scores_are_the_models_own(tiny_model: FastFlow, features: list[Tensor]) -> None:
    model, (_, normal, *_) = fitted(tiny_model, features, folds=None)
    assert normal.folds == 0
    assert torch.equal(normal.pred_score, score_normal(model, features, batch_size=4).pred_score)


class Stopped(Exception):
    pass


def test_a_fit_stopped_after_any_step_of_any_training_ends_with_the_same_bits(features: list[Tensor]) -> None:
    fresh = FastFlow(tiny_config(flow_steps=1))
    kept: dict[int, dict[str, Tensor]] = {}
    steps = 0

    def restore(fold: int, training: Training) -> None:
        if fold in kept:
            training.restore(kept[fold])

    def keep(fold: int, training: Training) -> None:
        nonlocal steps
        steps += 1
        kept[fold] = {name: tensor.clone() for name, tensor in training.state().items()}
        raise Stopped

    whole, expected = fitted(fresh, features)
    hooks = Hooks(on_start=restore, on_step=keep)
    while steps <= 100:
        try:
            model, found = fitted(fresh, features, hooks=hooks)
            break
        except Stopped:
            continue
    assert steps == 6 + FOLDS * 4  # 7 images in steps of 3, 3, 1; 4 or 5 in steps of 3, 1 or 2; each twice
    assert same(model, whole)
    assert torch.equal(found.normal.pred_score, expected.normal.pred_score)


def test_progress_names_each_epoch_and_what_is_left_of_the_whole_fit(
    tiny_model: FastFlow, features: list[Tensor]
) -> None:
    reported: list[Progress] = []
    fitted(tiny_model, features, hooks=Hooks(on_epoch=reported.append))
    assert [(p.fold, p.epoch.epoch) for p in reported] == [(fold, n) for fold in (1, 2, 3, FINAL) for n in (1, 2)]
    assert [p.images for p in reported[::2]] == [4, 5, 5, 7]
    check_seconds(reported)


def check_seconds(reported: list[Progress]) -> None:
    """The images that are still to be trained on, counted from the end, at the pace of all epochs but the first."""
    left = 0
    for number in reversed(range(len(reported))):
        measured = reported[1 : number + 1] or reported[:1]
        pace = sum(p.epoch.seconds for p in measured) / sum(p.images for p in measured)
        assert reported[number].seconds_left == pytest.approx(left * pace)
        assert reported[number].seconds == pytest.approx(sum(p.epoch.seconds for p in reported[: number + 1]))
        left += reported[number].images


def test_an_epoch_beside_a_busy_neighbour_hardly_moves_the_time_left() -> None:
    """Forty epochs of 2 s, the first of 9 s, and one of 20 s: the estimate stays within half of what is true, where the
    last epoch alone would say ten times as much."""
    pace, spent = Pace(), [9.0, *[2.0] * 20, 20.0, *[2.0] * 18]
    for number, seconds in enumerate(spent):
        pace.add(10, seconds, resumed=False)
        left = 10 * (len(spent) - number - 1)
        if number:
            assert pace.of(left) == pytest.approx(0.2 * left, rel=0.5)
    again = Pace()
    again.add(10, 50.0, resumed=True)  # of another machine
    assert again.of(10) == 50
    again.add(10, 3.0, resumed=False)
    assert again.of(10) == 3


def test_a_fold_is_trained_as_a_model_of_so_few_images_would_be(features: list[Tensor]) -> None:
    """Of 7 images in batches of 3 an epoch has 3 steps, of the 4 or 5 that a fold leaves 2."""
    reported: list[Progress] = []
    settings = SETTINGS | {"epochs": 4, "min_steps": 12, "folds": FOLDS, "inference_batch": 4}
    fit(FastFlow(tiny_config(flow_steps=1)), features, hooks=Hooks(on_epoch=reported.append), **settings)  # type: ignore[arg-type]
    assert [p.epoch.epoch for p in reported] == 3 * [1, 2, 3, 4, 5, 6] + [1, 2, 3, 4]
    assert [p.epochs for p in reported] == 18 * [6] + 4 * [4]
    check_seconds(reported)


def test_resumed_epochs_are_said_to_be(tiny_model: FastFlow, features: list[Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    done = copy.deepcopy(tiny_model)
    hooks = Hooks(on_end=lambda fold, training: states.update({fold: training.state()}))
    fit(done, features, folds=None, inference_batch=4, hooks=hooks, **SETTINGS)  # type: ignore[arg-type]
    reported: list[Progress] = []
    again = Hooks(on_start=lambda fold, training: training.restore(states[fold]), on_epoch=reported.append)
    model, _found = fitted(tiny_model, features, folds=None, hooks=again)
    assert [(p.epoch.epoch, p.resumed) for p in reported] == [(1, True), (2, True)]
    assert same(model, done)
