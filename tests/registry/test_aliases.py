"""Aliases and withdrawn versions: where they point, and the order of changes, which a kill at any point must bear."""

from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from pipelines.registry import aliases
from tests.registry.memory import Killed, Registry

NAME = "fastflow-plates"


@pytest.fixture
def registry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Four versions of plates, all of whose files are there."""
    made = Registry()
    made.add(NAME, 4)
    monkeypatch.setattr(mlflow.artifacts, "list_artifacts", lambda artifact_uri: [artifact_uri])
    return made


def pointed(registry: Registry) -> dict[str, str]:
    return dict(registry.models[NAME].aliases)


def gate(registry: Registry, version: str) -> str | None:
    tag: str | None = registry.models[NAME].versions[version].tags.get(aliases.VERDICT)
    return tag


def test_a_crowned_version_is_champion_and_the_one_before_previous(registry: Registry) -> None:
    assert aliases.crown(registry.client, "plates", "1") is None
    assert pointed(registry) == {"champion": "1"}
    registry.models[NAME].aliases["challenger"] = "2"
    assert aliases.crown(registry.client, "plates", "2") == "1"
    assert pointed(registry) == {"champion": "2", "previous": "1"}
    registry.models[NAME].aliases["challenger"] = "4"
    registry.changes.clear()
    assert aliases.crown(registry.client, "plates", "3") == "2"
    assert registry.changes == [("alias", "previous", "2"), ("alias", "champion", "3")], "the champion's moves last"
    assert pointed(registry) == {"champion": "3", "previous": "2", "challenger": "4"}


def test_crowning_the_champion_again_moves_nothing_but_what_a_kill_left(registry: Registry) -> None:
    registry.models[NAME].aliases |= {"champion": "2", "previous": "1", "challenger": "2"}
    assert aliases.crown(registry.client, "plates", "2") == "2"
    assert registry.changes == [("no alias", "challenger")]
    assert pointed(registry) == {"champion": "2", "previous": "1"}


def test_only_the_champion_that_was_compared_with_is_replaced(registry: Registry) -> None:
    registry.models[NAME].aliases["champion"] = "2"
    for expected in ("1", None):
        with pytest.raises(aliases.ChampionChanged) as changed:
            aliases.replace_champion(registry.client, "plates", "3", champion=expected)
        assert changed.value.champion == "2"
        assert registry.changes == []
    aliases.replace_champion(registry.client, "plates", "3", champion="2")
    assert pointed(registry) == {"champion": "3", "previous": "2"}


def test_a_step_back_swaps_both_and_withdraws_the_champion(registry: Registry) -> None:
    registry.models[NAME].aliases |= {"champion": "2", "previous": "1"}
    registry.models[NAME].versions["2"].tags["gate"] = "promoted"
    assert aliases.step_back(registry.client, "plates") == ("1", "2")
    assert pointed(registry) == {"champion": "1", "previous": "2"}
    assert (gate(registry, "1"), gate(registry, "2")) == (None, "rolled back: promoted")
    withdrawn = {v: aliases.is_withdrawn(aliases.get_version(registry.client, "plates", v)) for v in ("1", "2", "3")}
    assert withdrawn == {"1": False, "2": True, "3": False}
    assert aliases.step_back(registry.client, "plates") == ("2", "1")
    assert (gate(registry, "1"), gate(registry, "2")) == ("rolled back: ", "promoted")
    aliases.crown(registry.client, "plates", "1")
    assert gate(registry, "1") == ""


def test_without_a_champion_the_previous_one_comes_back_alone(registry: Registry) -> None:
    registry.models[NAME].aliases["previous"] = "1"
    assert aliases.step_back(registry.client, "plates") == ("1", None)
    assert pointed(registry) == {"champion": "1", "previous": "1"}
    with pytest.raises(ValueError, match="no previous champion; version 1 is champion"):
        aliases.step_back(registry.client, "plates")


def test_there_is_nothing_to_step_back_to(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=f"{NAME} has no previous champion; there is no champion"):
        aliases.step_back(registry.client, "plates")
    registry.models[NAME].aliases |= {"champion": "2", "previous": "1"}
    asked = list[str]()
    monkeypatch.setattr(mlflow.artifacts, "list_artifacts", lambda artifact_uri: asked.append(artifact_uri))
    with pytest.raises(
        ValueError, match=f"{NAME} version 1 has lost its files: version 2 stays champion; restore them"
    ):
        aliases.step_back(registry.client, "plates")
    assert asked == [f"files of {NAME}/1"]
    assert registry.changes == []


@pytest.mark.parametrize("calls", range(5))
def test_a_step_back_that_is_killed_never_leaves_a_withdrawn_champion_unmarked(registry: Registry, calls: int) -> None:
    """Before version 1 is champion, version 2 says that it is withdrawn; done again, what is left is completed."""
    registry.models[NAME].aliases |= {"champion": "2", "previous": "1"}
    registry.models[NAME].versions["1"].tags["gate"] = "rolled back: promoted"
    registry.calls_left = calls
    try:
        aliases.step_back(registry.client, "plates")
    except Killed:
        assert calls < 4
    if pointed(registry)["champion"] == "1":
        assert gate(registry, "2") == "rolled back: "
    assert pointed(registry)["champion"] in "12"
    assert len(registry.changes) == min(calls, 4)


@pytest.mark.parametrize("calls", range(4))
def test_a_promotion_that_is_killed_is_completed_by_the_next(registry: Registry, calls: int) -> None:
    registry.models[NAME].aliases |= {"champion": "1", "challenger": "2"}
    registry.models[NAME].versions["2"].tags["gate"] = "rolled back: promoted"
    registry.calls_left = calls
    with pytest.raises(Killed):
        aliases.crown(registry.client, "plates", "2")
    assert pointed(registry)["champion"] == ("2" if calls == 3 else "1")
    registry.calls_left = None
    aliases.crown(registry.client, "plates", "2")
    assert pointed(registry) == {"champion": "2", "previous": "1"}
    assert gate(registry, "2") == "promoted"


def test_versions_come_newest_first_by_number_from_all_pages(registry: Registry) -> None:
    registry.add(NAME, 11)
    assert [v.version for v in aliases.versions(registry.client, NAME)] == [str(n) for n in range(11, 0, -1)]
    assert aliases.versions(registry.client, "fastflow-gears") == []


def test_what_is_no_version_is_named_beside_those_that_are(registry: Registry) -> None:
    for wrong in ("7", "one"):
        with pytest.raises(ValueError, match=f"{NAME} has no version {wrong}; there are: 4, 3, 2, 1"):
            aliases.get_version(registry.client, "plates", wrong)
    with pytest.raises(ValueError, match="fastflow-gears has no version 1; there are: none"):
        aliases.get_version(registry.client, "gears", "1")
    assert aliases.alias(registry.client, NAME, "champion") is None
    assert aliases.alias(registry.client, "fastflow-gears", "champion") is None


def test_a_store_that_is_away_is_no_version_that_is_missing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.models[NAME].versions["1"]

    def away(*_: object) -> None:
        raise MlflowException("the server is away")

    for call in ("get_model_version", "get_model_version_by_alias", "get_run"):
        monkeypatch.setattr(registry, call, away)
    with pytest.raises(MlflowException, match="away"):
        aliases.get_version(registry.client, "plates", "1")
    with pytest.raises(MlflowException, match="away"):
        aliases.alias(registry.client, NAME, "champion")
    with pytest.raises(MlflowException, match="away"):
        aliases.run_status(registry.client, version)


def test_a_deleted_run_is_gone_and_nothing_is_written_to_it(registry: Registry) -> None:
    version, note = registry.models[NAME].versions["1"], Path("note.json")
    registry.runs["run1"].info.status = "KILLED"
    assert aliases.run_status(registry.client, version) == "KILLED"
    aliases.annotate(registry.client, "plates", "1", {"gate": "refused"}, {note: "gate"})
    assert registry.changes == [("run tag", "run1", "gate", "refused"), ("file", "run1", "note.json", "gate")]
    registry.changes.clear()
    registry.runs["run1"].info.lifecycle_stage = "deleted"
    del registry.runs["run2"]
    for number in ("1", "2"):
        assert aliases.run_status(registry.client, registry.models[NAME].versions[number]) == "gone"
        aliases.annotate(registry.client, "plates", number, {"gate": "refused"}, {note: "gate"})
    assert registry.changes == []
