"""What a challenger may lose, the next one may lose again: all of them together no more than one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fastflow.detector import not_finite
from pipelines.core.params import read_params
from pipelines.promotion import judge as judging
from pipelines.promotion.gate import best_figures, rules_against, rules_against_best
from pipelines.promotion.rules import Measured
from pipelines.registry import aliases, registry, store
from pipelines.registry.best import Best, read_best, write_best
from pipelines.registry.registry import Opened
from pipelines.registry.store import Client
from pipelines.tracking.sync import sync
from tests.promotion.figures import INCONCLUSIVE, PASSED, changed, outcomes
from tests.registry.kit import checkpoint, register, registered

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
RULES = changed(resamples=200, epsilon=0.02)


def worse_by(number: int, *, images: int = 500) -> Measured:
    """Of as many good as defective images, `number` defective ones are ranked below all good ones: an AUROC of
    1 - number / images."""
    label = np.repeat([0, 1], images)
    score = label * 4.0 + np.linspace(0, 1, 2 * images)
    score[images : images + number] = -9.0 - np.arange(number)
    table = {"image_path": [f"{i}.png" for i in range(2 * images)], "defect_type": np.where(label, "dent", "good")}
    table |= {"gt_label": label, "pred_score": score, "pred_label": label}
    return Measured(pd.DataFrame(table), None, None, "resnet18", 10.0)


def champions(*, with_best: bool) -> list[int]:
    """The models that become champion of eleven, each worse than the one before by .006."""
    models = {str(n): worse_by(3 * n) for n in range(11)}
    line, best = ["0"], Best("these images", {})
    for version in list(models)[1:]:
        challenger = models[version]
        found = rules_against(challenger, models[line[-1]], RULES)
        others = best.versions(above=best_figures(models[line[-1]])) if with_best else {}
        for other, names in others.items():
            if other != line[-1]:
                found += rules_against_best(challenger, models[other], names, RULES, version=other)
        if not outcomes(found):
            best = best.with_champion(line[-1], best_figures(models[line[-1]]))
            line.append(version)
            best = best.with_champion(version, best_figures(challenger))
    return [int(version) for version in line]


def test_ten_slowly_worsening_models_lose_no_more_than_one_may() -> None:
    assert champions(with_best=False) == list(range(11)), "each passes beside the one before: .06 together"
    line = champions(with_best=True)
    assert len(line) > 1
    assert 0.006 * line[-1] <= RULES.epsilon


def test_lost_defects_do_not_add_up_either() -> None:
    def misses(number: int) -> Measured:
        one = worse_by(0, images=40)
        one.scores.loc[40 : 39 + number, "pred_label"] = 0
        return one

    assert best_figures(misses(3))["defects"] == 37
    rules = changed(resamples=100, epsilon=0.08)
    assert outcomes(rules_against(misses(2), misses(1), rules)) == {}
    found = rules_against_best(misses(2), misses(0), {"defects"}, rules, version="1")
    assert outcomes(found) == {"best_defects": INCONCLUSIVE}
    assert found[0].sentence.startswith("beside version 1, an earlier champion that was better than the present one: ")


def test_the_best_is_the_earliest_of_equals_and_by_figure() -> None:
    best = Best("x", {}).with_champion("1", {"image_auroc": 0.9, "aupro": 0.8})
    best = best.with_champion("2", {"image_auroc": 0.9, "aupro": 0.85}).with_champion("3", {"image_auroc": 0.8})
    assert best.of == {"image_auroc": ("1", 0.9), "aupro": ("2", 0.85)}
    assert best.versions() == {"1": {"image_auroc"}, "2": {"aupro"}}


@pytest.fixture
def client(folder: Any) -> Client:
    """Two versions of plates."""
    list(registered(folder, 2))
    return store.connect()


def test_the_best_is_kept_with_the_model_for_the_same_images_alone(client: Client) -> None:
    assert read_best(client, "plates").of == {}
    write_best(client, "plates", Best("x", {"image_auroc": ("1", 0.9), "aupro": ("2", 0.8)}))
    assert read_best(client, "plates", "x").versions() == {"1": {"image_auroc"}, "2": {"aupro"}}
    assert read_best(client, "plates", "other images") == Best("other images", {})
    aliases.crown(client, "plates", "1")
    aliases.crown(client, "plates", "2")
    aliases.step_back(client, "plates")
    assert read_best(client, "plates", "x").versions() == {"1": {"image_auroc"}}
    client.set_registered_model_tag("fastflow-plates", "best", "by hand")
    assert read_best(client, "plates").of == {}


class Images:
    """A category's test images, on which models are as good as their detectors' names say."""

    def __init__(self, *_: object, **__: object) -> None:
        self.index, self.root = worse_by(0, images=40).scores.assign(sha256=""), None

    def sha256(self) -> str:
        return "x"

    def measure(self, detector: Any) -> Measured:
        if detector == "nan":
            raise not_finite("good/7.png", float("nan"))
        return worse_by(int(detector), images=40)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By version, what `Images.measure` takes; in place of real models."""
    found = {"1": "0", "2": "1"}

    def opened(client: Client, category: str, version: str) -> Opened:
        return Opened(found[version], {"model_sha256": "0"})  # type: ignore[arg-type]

    monkeypatch.setattr(judging, "EvaluationSet", Images)
    monkeypatch.setattr(judging, "verify_images", lambda *_: None)
    monkeypatch.setattr(registry, "open_version", opened)
    return found


def test_a_challenger_is_measured_beside_an_earlier_champion_too(client: Client, figures: dict[str, str]) -> None:
    figures |= {"1": "0", "2": "1", "3": "2"}
    register(checkpoint(Path("3"), 3))
    sync()
    found = judging.judge(client, "plates", read_params(), "3", "2")
    assert not [rule for rule in found.rules if rule.name.startswith("best_")]
    assert found.figures["2"]["image_auroc"] == pytest.approx(1 - 1 / 40)
    write_best(client, "plates", Best("x", {"image_auroc": ("1", 1.0), "defects": ("1", 40.0), "aupro": ("2", 0.9)}))
    found = judging.judge(client, "plates", read_params(), "3", "2")
    assert [rule.name for rule in found.rules if rule.name.startswith("best_")] == ["best_image_auroc"]


def test_a_challenger_whose_scores_are_no_numbers_is_refused(client: Client, figures: dict[str, str]) -> None:
    figures["2"] = "nan"
    for champion in ("1", None):
        found = judging.judge(client, "plates", read_params(), "2", champion)
        assert [(rule.name, rule.outcome) for rule in found.rules if rule.outcome != PASSED][-1][0] == "scores"
        assert "good/7.png" in found.failed[-1].sentence
        assert not found.usable, "nor by force"
