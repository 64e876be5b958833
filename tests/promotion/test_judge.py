"""What the gate asks of a registered challenger and of today's champion, with models that are figures and a registry in
memory: which rules, in which case, and what is kept of them."""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from fastflow.detector import not_finite
from fastflow.errors import BadData
from pipelines.core.params import Params, read_params
from pipelines.promotion import judge as judging
from pipelines.promotion.certified import NO_VERSION
from pipelines.promotion.gate import best_figures
from pipelines.promotion.judge import Judged, judge
from pipelines.promotion.rules import Measured, Outcome, Rule
from pipelines.registry import registry as opening
from pipelines.registry.best import Best, write_best
from pipelines.registry.registry import Opened
from tests.conftest import ROOT
from tests.promotion.figures import FAILED, INCONCLUSIVE, PASSED, measured
from tests.registry.memory import Registry

NAME = "fastflow-plates"
SEEN: dict[str, set[str]] = {}  # by version, images that it was trained on


class Images:
    """A category's 40 good and 40 defective test images, on which a model is what its detector says."""

    changes, asked = False, 0

    def __init__(self, category: str, params: Params, *, distinct: bool = False) -> None:
        assert (category, distinct) == ("plates", True), "copies of one image count once"
        self.root = Path("images")
        self.index = measured().scores.assign(sha256=[f"sha of {number}" for number in range(80)])

    def sha256(self) -> str:
        Images.asked += 1
        return f"{Images.asked if Images.changes else 0}" * 64

    def measure(self, detector: Any) -> Measured:
        if isinstance(detector, Exception):
            raise detector
        found: Measured = detector
        return found

    def speed_ratios(self, challenger: Any, champion: Any) -> list[float]:
        assert (challenger.architecture, champion.architecture) == ("another", "resnet18")
        return [9.0, 8.0]


class AtThreshold(Measured):
    threshold, version = MappingProxyType({"image": 0.5}), "0123456789ab"


@pytest.fixture
def models() -> dict[str, Any]:
    """By version: figures, or an error at opening or measuring."""
    return {version: measured() for version in "1234"}


@pytest.fixture
def registry(folder: Path, models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    made.add(NAME, 4)

    def opened(client: object, category: str, version: str) -> Opened:
        assert (client, category) == (made, "plates")
        if type(models[version]) is BadData:
            raise models[version]
        tags = {"model_sha256": "c0de"} | made.models[NAME].versions[version].tags
        return Opened(models[version], tags, frozenset(SEEN.get(version, ())))

    SEEN.clear()
    monkeypatch.setattr(Images, "changes", False)
    monkeypatch.setattr(judging, "EvaluationSet", Images)
    monkeypatch.setattr(judging, "verify_images", lambda index, root: None)
    monkeypatch.setattr(opening, "open_version", opened)
    return made


def asked(registry: Registry, challenger: str, champion: str | None, **gate: Any) -> Judged:
    values = read_params(ROOT / "params.yaml").model_dump()
    values["gate"] |= {"resamples": 100, "epsilon": 0.08, "false_reject_rate": 1.0} | gate
    return judge(registry.client, "plates", Params.model_validate(values), challenger, champion)


def outcomes(found: Judged) -> dict[str, Outcome]:
    return {rule.name: rule.outcome for rule in found.rules}


def test_a_first_champion_needs_the_floors_and_a_person(registry: Registry) -> None:
    found = asked(registry, "1", None)
    assert outcomes(found) == dict.fromkeys(
        ("finished", "artifact", "same_images", "image_auroc_floor", "misses", "false_rejects"), PASSED
    ) | {"first": INCONCLUSIVE}
    assert [rule.name for rule in found.unclear] == ["first"]
    assert found.failed == []
    assert (found.usable, found.evaluation_set_sha256) == (True, "0" * 64)
    assert found.figures == {"1": best_figures(measured())}
    assert "first" not in outcomes(asked(registry, "1", None, first="promote"))
    said = {rule.name: rule for rule in found.rules}
    assert said["same_images"].sentence == f"80 test images, sha256 {'0' * 12}, unchanged meanwhile"
    assert said["same_images"].figures == {"sha256": "0" * 64}
    assert said["artifact"].figures == {"sha256": "c0de"}


def test_a_later_one_is_held_to_the_champion(registry: Registry, models: dict[str, Any]) -> None:
    found = asked(registry, "2", "1")
    assert set(outcomes(found).values()) == {PASSED}
    assert {"image_auroc", "defects", "more_false_rejects", "latency"} <= set(outcomes(found))
    assert "first" not in outcomes(found)
    assert list(found.figures) == ["1", "2"], "the champion's first"
    models["2"] = measured(noise=4)
    assert {rule.name for rule in asked(registry, "2", "1").failed} >= {"image_auroc", "defects"}
    assert not asked(registry, "1", "2").failed, "the better one may follow the worse"


def test_another_architecture_is_timed(registry: Registry, models: dict[str, Any]) -> None:
    models["2"] = measured()._replace(architecture="another")
    assert outcomes(asked(registry, "2", "1"))["latency"] == FAILED


@pytest.mark.parametrize(("status", "stage"), [("FAILED", "active"), ("KILLED", "active"), ("FINISHED", "deleted")])
def test_a_run_that_did_not_finish_fails(registry: Registry, status: str, stage: str) -> None:
    registry.runs["run2"].info.status, registry.runs["run2"].info.lifecycle_stage = status, stage
    found = asked(registry, "2", "1")
    assert [rule.name for rule in found.failed] == ["finished"]
    told = status if stage == "active" else "gone"
    assert (found.failed[0].sentence, found.failed[0].figures) == (f"its run is {told}", {"status": told})


def test_files_that_are_not_what_was_registered_are_not_measured(registry: Registry, models: dict[str, Any]) -> None:
    models["2"] = BadData("its sha256 is another")
    found = asked(registry, "2", "1")
    assert outcomes(found) == {"finished": PASSED, "artifact": FAILED}
    assert found.failed[0].sentence == "its sha256 is another"
    assert (found.usable, found.evaluation_set_sha256, dict(found.figures)) == (False, None, {})


def test_scores_that_are_no_numbers_are_not_compared(registry: Registry, models: dict[str, Any]) -> None:
    models["2"] = not_finite("good/7.png", float("nan"))
    for champion in ("1", None):
        found = asked(registry, "2", champion)
        assert [rule.name for rule in found.failed] == ["scores"]
        assert (found.usable, dict(found.figures)) == (False, {})


@pytest.mark.parametrize("error", [BadData("gone from the store"), not_finite("good/7.png", float("nan"))])
def test_a_champion_that_cannot_be_compared_with_leaves_the_floors(
    registry: Registry, models: dict[str, Any], error: Exception
) -> None:
    models["1"] = error
    found = asked(registry, "2", "1")
    assert [rule.name for rule in found.failed] == ["champion"]
    assert found.failed[0].sentence == f"version 1 cannot be compared with: {error}"
    assert list(outcomes(found))[-3:] == ["image_auroc_floor", "misses", "false_rejects"]
    assert (found.usable, list(found.figures)) == (True, ["2"])


def test_a_threshold_from_labelled_images_is_a_persons_decision(registry: Registry) -> None:
    for method, expected in (("misses", INCONCLUSIVE), ("rank", None)):
        registry.models[NAME].versions["2"].tags["threshold_method"] = method
        assert outcomes(asked(registry, "2", "1")).get("threshold") == expected


def test_the_champions_certificate_is_looked_for_where_a_limit_is_the_champions(
    registry: Registry, models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    models["2"] = AtThreshold(*measured())
    looked: list[tuple[object, ...]] = []

    def rules(category: str, limits: Any, *, weights: str, threshold: float, champion: Any) -> list[Rule]:
        looked.append((category, dict(limits), weights, threshold, champion))
        return [Rule("certified_scratch", INCONCLUSIVE, "as told")]

    monkeypatch.setattr(judging, "certified_rules", rules)
    monkeypatch.setattr(judging, "champion_certificate", lambda client, category, version: f"of {category} {version}")
    registry.models[NAME].versions["2"].tags["model_id"] = "of another"  # a tag can be edited, the files not
    for limit, champion in (("champion", "1"), ("champion", None), (12.0, "1")):
        asked(registry, "2", champion, certified={"scratch": limit})
    assert looked == [
        ("plates", {"scratch": "champion"}, "0123456789ab", 0.5, "of plates 1"),
        ("plates", {"scratch": "champion"}, "0123456789ab", 0.5, "of plates None"),
        ("plates", {"scratch": 12.0}, "0123456789ab", 0.5, NO_VERSION),
    ]
    assert [rule.name for rule in asked(registry, "2", "1", certified={"scratch": 12.0}).unclear] == [
        "certified_scratch"
    ]


def test_a_challenger_that_was_trained_on_test_images_is_a_persons_decision(registry: Registry) -> None:
    """An older version after photographs were added, which may move an image into the test."""
    SEEN.update({"2": {"sha of 3", "sha of 70", "another"}, "1": {"another"}})
    (rule,) = asked(registry, "2", "1").unclear
    said = "version 2 was trained on 2 of these 80 test images, which flatter it"
    assert (rule.name, rule.sentence) == ("seen_by_challenger", said)
    assert [rule.name for rule in asked(registry, "2", None, first="promote").unclear] == ["seen_by_challenger"]
    SEEN.update({"2": {"another"}, "1": {"sha of 3"}})
    found = asked(registry, "2", "1")
    assert (found.unclear, found.failed) == ([], []), "a champion that is flattered is only harder to replace"
    assert outcomes(found)["seen_by_champion"] == PASSED


def test_images_that_change_meanwhile_are_no_comparison(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Images, "changes", True)
    (rule,) = asked(registry, "2", "1").failed
    assert rule.name == "same_images"
    assert rule.sentence.endswith("which changed meanwhile: try again")


def test_images_are_verified_before_anything_is_measured(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(index: Any, root: Path) -> None:
        assert (len(index), root) == (80, Path("images"))
        raise BadData("0.png is not the one that was prepared")

    monkeypatch.setattr(judging, "verify_images", changed)
    with pytest.raises(BadData, match=r"0\.png is not the one that was prepared"):
        asked(registry, "2", "1")


def test_only_better_earlier_champions_are_asked_for_what_they_are_better_in(
    registry: Registry, models: dict[str, Any]
) -> None:
    """Version 1 found all defects; the champion, 2, and the challenger, 4, miss two each, and rank as well."""
    for version in "24":
        models[version] = measured()
        models[version].scores.loc[60:61, "pred_label"] = 0
    figures = best_figures(measured())
    write_best(
        registry.client,
        "plates",
        Best("0" * 64, {"image_auroc": ("1", figures["image_auroc"]), "defects": ("1", 40.0)}),
    )
    found = asked(registry, "4", "2")
    assert {name: outcome for name, outcome in outcomes(found).items() if name.startswith("best_")} == {
        "best_defects": INCONCLUSIVE
    }
    models["1"] = BadData("gone from the store")
    (rule,) = [rule for rule in asked(registry, "4", "2").rules if rule.name.startswith("best_")]
    assert (rule.name, rule.outcome) == ("best_champion", INCONCLUSIVE)
    lost = "version 1, an earlier champion that was better, cannot be compared with: gone from the store"
    assert rule.sentence == lost
    write_best(registry.client, "plates", Best("other images", {"defects": ("3", 41.0)}))
    assert not [name for name in outcomes(asked(registry, "4", "2")) if name.startswith("best_")]
    write_best(registry.client, "plates", Best("0" * 64, {"defects": ("4", 41.0)}))
    assert not [name for name in outcomes(asked(registry, "4", "2")) if name.startswith("best_")], "not beside itself"
