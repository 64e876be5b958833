"""Today's champion on today's images, and whether a challenger aims at the same rate."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastflow.detector import not_finite
from fastflow.errors import BadData
from pipelines.core.params import read_params
from pipelines.core.stage import Failed
from pipelines.promotion import champion as checking
from pipelines.promotion.champion import check_champion, numbers_of, require_not_worse
from pipelines.promotion.thresholds import different_aims
from pipelines.registry import registry as opening
from pipelines.registry import store
from pipelines.registry.registry import Opened
from pipelines.tracking import runs
from tests.conftest import ROOT
from tests.promotion.figures import measured
from tests.registry.memory import Registry

NAME = "fastflow-plates"


class Check:
    """The champion's check of a registry in memory: what the champion is on today's images, and what is logged."""

    def __init__(self) -> None:
        self.registry, self.recorded = Registry(), "0.99"
        self.model: Any = measured()
        self.registry.add(NAME, 2)
        self.runs: list[tuple[dict[str, str], dict[str, float]]] = []

    def opened(self, client: object, category: str, version: str) -> Opened:
        assert (client, category, version) == (self.registry, "plates", "2")
        if type(self.model) is BadData:
            raise self.model
        return Opened(self.model, {"image_auroc": self.recorded})

    def measure(self, detector: Any) -> Any:
        if isinstance(detector, Exception):
            raise detector
        return detector

    @contextmanager
    def new_run(self, name: str, *, tags: dict[str, str], live: bool) -> Iterator["Check"]:
        assert name.startswith("plates champion 2")
        assert not live
        self.runs.append((tags, {}))
        yield self

    def log_metrics(self, numbers: dict[str, float]) -> None:
        self.runs[-1][1].update(numbers)


@pytest.fixture
def check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    made = Check()
    monkeypatch.setattr(store, "connect", lambda: made.registry)
    monkeypatch.setattr(opening, "open_version", made.opened)
    monkeypatch.setattr(checking, "EvaluationSet", lambda category, params: made)
    monkeypatch.setattr(checking, "data_hash", lambda category: f"md5 of {category}")
    monkeypatch.setattr(checking, "provenance", lambda category: {"git": category})
    monkeypatch.setattr(runs, "new_run", made.new_run)
    made.registry.models[NAME].aliases["champion"] = "2"
    return made


def test_a_champions_figures_of_today_are_logged(check: Check, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check_champion("plates", read_params(ROOT / "params.yaml"))
    ((tags, numbers),) = check.runs
    assert tags == {"git": "plates", "category": "plates", "model_version": "2", "data_dvc_md5": "md5 of plates"}
    assert numbers == numbers_of(measured())
    said = f"plates: champion, version 2: image_auroc {numbers['image_auroc']:.4f}, false_reject_rate"
    assert said in caplog.messages[-1]


def test_a_champion_that_got_worse_fails_after_its_figures_are_logged(check: Check) -> None:
    check.model = measured(noise=9)
    with pytest.raises(
        Failed, match=r"plates: champion, version 2: image_auroc is 0\.\d+ on today's images, was 0\.99"
    ):
        check_champion("plates", read_params(ROOT / "params.yaml"))
    assert len(check.runs) == 1


@pytest.mark.parametrize("error", [BadData("the artifact was changed"), not_finite("good/7.png", float("nan"))])
def test_a_champion_that_cannot_be_used_fails(check: Check, error: Exception) -> None:
    check.model = error
    with pytest.raises(Failed, match=r"plates: champion, version 2: (the artifact was changed|.*good/7\.png)"):
        check_champion("plates", read_params(ROOT / "params.yaml"))
    assert check.runs == []


def test_without_a_champion_there_is_nothing_to_check(check: Check, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check.registry.models[NAME].aliases.clear()
    check_champion("plates", read_params(ROOT / "params.yaml"))
    assert caplog.messages == ["plates has no champion yet"]
    assert check.runs == []


def test_a_champions_numbers_are_those_of_its_images() -> None:
    one = measured()._replace(aupro=0.75)
    one.scores["pred_label"] = one.scores["gt_label"]
    one.scores.loc[:3, "pred_label"] = 1  # four of 40 good ones
    one.scores.loc[40:49, "pred_label"] = 0  # ten of 40 defective ones
    found = numbers_of(one)
    assert found.pop("image_auroc") == pytest.approx(1.0, abs=0.01)
    assert found == {
        "aupro": 0.75, "false_reject_rate": pytest.approx(0.1), "miss_rate": pytest.approx(0.25),
        "milliseconds_per_image": 10.0,
    }  # fmt: skip
    good = one._replace(scores=one.scores.iloc[:40], aupro=None)
    assert numbers_of(good) == {"false_reject_rate": pytest.approx(0.1), "milliseconds_per_image": 10.0}
    bad = one._replace(scores=one.scores.iloc[40:], aupro=None)
    assert numbers_of(bad) == {"miss_rate": pytest.approx(0.25), "milliseconds_per_image": 10.0}


def test_a_champion_may_be_lower_by_epsilon_and_no_more() -> None:
    require_not_worse("plates", {"image_auroc": 0.75}, {"image_auroc": "1.0"}, epsilon=0.25)
    with pytest.raises(Failed, match=r"plates: image_auroc is 0\.7400 on today's images, was 1\.0000; look at what"):
        require_not_worse("plates", {"image_auroc": 0.74}, {"image_auroc": "1.0"}, epsilon=0.25)


def test_what_cannot_be_compared_is_said(caplog: pytest.LogCaptureFixture) -> None:
    require_not_worse("plates", {}, {"image_auroc": "0.9"}, epsilon=0.02)
    require_not_worse("plates", {"image_auroc": 0.9}, {}, epsilon=0.02)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        "plates: nothing to compare: image_auroc was 0.9, is None",
        "plates: nothing to compare: image_auroc was None, is 0.9",
    ]


@pytest.mark.parametrize(
    ("challenger", "champion", "expected"),
    [
        (("rank", "0.01"), ("tail", "0.01"), ""),
        (("rank", "0.01"), ("rank", None), ""),
        (("rank", None), ("rank", "0.01"), ""),
        (("rank", "0.02"), ("rank", "0.005"), "version 2's threshold was chosen for 2 % of good parts rejected, the "
         "champion's for 0.5 % of good parts rejected; to have that, without training: fastflow threshold plates "
         "--max-false-reject 0.5%"),
        (("rank", "0.01"), ("misses", "0.05"), "version 2's threshold was chosen for 1 % of good parts rejected, the "
         "champion's for the misses of labelled defects; to have that, without training: fastflow threshold plates "
         "--max-miss 5%"),
        (("misses", "0.01"), ("misses", "0.05"), ""),
        (("rank", "0.01"), ("rank", "1 %"), ""),  # a tag that somebody edited
        (("rank", "nan"), ("rank", "0.01"), ""),
    ],
)  # fmt: skip
def test_a_threshold_that_was_chosen_for_another_rate_is_said(
    challenger: tuple[str, str | None], champion: tuple[str, str | None], expected: str
) -> None:
    registry = Registry()
    registry.add("fastflow-plates", 2)
    for number, (method, rate) in (("1", champion), ("2", challenger)):
        tags = registry.models["fastflow-plates"].versions[number].tags
        tags |= {"threshold_method": method} | ({} if rate is None else {"threshold_rate": rate})
    assert different_aims(registry.client, "plates", "2", "1") == expected
    assert different_aims(registry.client, "plates", "2", None) == ""
