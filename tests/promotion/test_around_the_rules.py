"""What is around the gate's rules: another champion meanwhile, a person's answer, rules of a misspelt category."""

from pathlib import Path

import pytest

from pipelines.core.params import Params, read_params
from pipelines.core.stage import Failed, Inconclusive
from pipelines.promotion.judge import Judged
from pipelines.promotion.promote import Person, promote
from pipelines.promotion.rules import Outcome, Rule
from pipelines.registry import aliases, store
from pipelines.registry.store import Client
from pipelines.tracking.sync import sync
from tests.promotion.kit import REPORT, standing
from tests.registry.kit import checkpoint, register
from tests.stages import write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix


@pytest.fixture
def params(folder: Path) -> Params:
    """Three versions, the first of which is champion."""
    write_tiny_params(folder)
    for number in (1, 2, 3):
        register(checkpoint(folder / str(number), number))
        sync()
    aliases.crown(store.connect(), "plates", "1")
    return read_params()


def test_a_champion_that_changed_meanwhile_is_not_replaced(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 3 passed beside version 1; a person took version 2 to the line before the verdict."""

    def judge(client: Client, category: str, *_: object) -> Judged:
        aliases.crown(client, category, "2")
        return Judged([Rule("image_auroc", Outcome.PASSED, "better than version 1")], opened=True)

    monkeypatch.setattr("pipelines.promotion.promote.judge", judge)
    with pytest.raises(Failed, match="version 2 stays champion, which changed while version 3 was tried; nothing"):
        promote("plates", params, version="3")
    assert standing() == {"champion": "2", "previous": "1", "challenger": "3"}
    assert not (REPORT / "gate.json").exists()


@pytest.mark.parametrize("answer", ["", "no", "N", "yes"])
def test_yes_and_no_are_no_reasons(params: Params, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    unclear = Judged([Rule("first", Outcome.INCONCLUSIVE, "a person decides")], opened=True)
    monkeypatch.setattr("pipelines.promotion.promote.judge", lambda *_: unclear)
    with pytest.raises(Inconclusive):
        promote("plates", params, version="3", person=Person(ask=lambda _: answer))
    assert standing()["champion"] == "1"
    promote("plates", params, version="3", person=Person(ask=lambda _: "no defect is missed"))
    assert standing()["champion"] == "3"


def test_rules_of_a_misspelt_category_are_reported(
    params: Params, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passed = Judged([Rule("image_auroc", Outcome.PASSED, "better")], opened=True)
    monkeypatch.setattr("pipelines.promotion.promote.judge", lambda *_: passed)
    values = params.model_dump()
    values["gate"]["categories"] = {"plate": {"miss_rate": 0.1}, "plates": {"miss_rate": 0.2}}
    promote("plates", Params.model_validate(values), version="3")
    (record,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "gate.categories hold for nobody: no category 'plate' in params.yaml" in record.getMessage()
    assert "did you mean 'plates'?" in record.getMessage()
