"""What is around the gate's rules: another champion meanwhile, a person's answer, rules of a misspelt category."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.params import Params, read_params
from pipelines.core.stage import Failed, Inconclusive, Refused
from pipelines.promotion.judge import Judged
from pipelines.promotion.promote import Person, promote
from pipelines.promotion.rules import Outcome, Rule
from pipelines.registry import aliases, store
from pipelines.registry.store import Client
from tests.promotion.kit import REPORT, standing, tags
from tests.registry.kit import registered

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix


@pytest.fixture
def params(folder: Path) -> Params:
    """Three versions, the first of which is champion."""
    list(registered(folder, 3))
    aliases.crown(store.connect(), "plates", "1")
    return read_params()


def test_a_champion_that_changed_meanwhile_is_not_replaced(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 3 passed beside version 1; a person took version 2 to the line before the verdict."""

    def judge(client: Client, category: str, *_: object) -> Judged:
        aliases.crown(client, category, "2")
        return Judged([Rule("image_auroc", Outcome.PASSED, "better than version 1")], usable=True)

    monkeypatch.setattr("pipelines.promotion.promote.judge", judge)
    with pytest.raises(Failed, match="version 2 stays champion, which changed while version 3 was tried; nothing"):
        promote("plates", params, version="3")
    assert standing() == {"champion": "2", "previous": "1", "challenger": "3"}
    assert not (REPORT / "gate.json").exists()


@pytest.mark.parametrize("answer", ["", "no", "N", "yes"])
def test_yes_and_no_are_no_reasons(params: Params, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    unclear = Judged([Rule("first", Outcome.INCONCLUSIVE, "a person decides")], usable=True)
    monkeypatch.setattr("pipelines.promotion.promote.judge", lambda *_: unclear)
    with pytest.raises(Inconclusive):
        promote("plates", params, version="3", person=Person(ask=lambda _: answer))
    assert standing()["champion"] == "1"
    promote("plates", params, version="3", person=Person(ask=lambda _: "no defect is missed"))
    assert standing()["champion"] == "3"


def test_rules_of_a_misspelt_category_are_reported(
    params: Params, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passed = Judged([Rule("image_auroc", Outcome.PASSED, "better")], usable=True)
    monkeypatch.setattr("pipelines.promotion.promote.judge", lambda *_: passed)
    values = params.model_dump()
    values["gate"]["categories"] = {"plate": {"miss_rate": 0.1}, "plates": {"miss_rate": 0.2}}
    promote("plates", Params.model_validate(values), version="3")
    (record,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "gate.categories hold for nobody: no category 'plate' in params.yaml" in record.getMessage()
    assert "did you mean 'plates'?" in record.getMessage()


@pytest.mark.parametrize("moved", [False, True])
def test_a_promotion_that_was_killed_is_mended_by_the_next(
    params: Params, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """Right before the champion's alias moved, or right after."""
    passed = Judged([Rule("image_auroc", Outcome.PASSED, "better")], usable=True)
    monkeypatch.setattr("pipelines.promotion.promote.judge", lambda *_: passed)
    move = aliases.replace_champion

    def killed(*arguments: Any, **options: Any) -> None:
        if moved:
            move(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(aliases, "replace_champion", killed)
        with pytest.raises(KeyboardInterrupt):
            promote("plates", params, version="3")
    assert tags("3")["gate"] == "promoting: promoted"
    assert standing()["champion"] == ("3" if moved else "1")
    with monkeypatch.context() as patch:  # the gate has become stricter meanwhile
        failed = Judged([Rule("image_auroc", Outcome.FAILED, "worse")], usable=True)
        patch.setattr("pipelines.promotion.promote.judge", lambda *_: failed)
        if moved:
            promote("plates", params, version="3")
        else:
            with pytest.raises(Refused):
                promote("plates", params, version="3")
    assert tags("3")["gate"] == ("promoted" if moved else "refused: failed image_auroc")
    assert standing()["champion"] == ("3" if moved else "1")
    decision = json.loads((REPORT / "gate.json").read_text())
    assert decision["verdict"] == ("promoted" if moved else "refused")


def test_a_champion_that_changed_at_the_last_moment_stays(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 was taken to the line between the check and the alias: nothing says that version 3 was promoted."""
    passed = Judged([Rule("image_auroc", Outcome.PASSED, "better")], usable=True)
    monkeypatch.setattr("pipelines.promotion.promote.judge", lambda *_: passed)
    annotate = aliases.annotate

    def slowly(client: Client, category: str, *rest: Any) -> None:
        annotate(client, category, *rest)
        aliases.crown(client, category, "2")

    monkeypatch.setattr(aliases, "annotate", slowly)
    with pytest.raises(Failed, match="version 2 stays champion, which changed while version 3 was tried"):
        promote("plates", params, version="3")
    assert (standing()["champion"], tags("3")["gate"]) == ("2", "")
    assert not (REPORT / "gate.json").exists()
