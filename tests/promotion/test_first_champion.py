"""The first champion of a category: floors that must be shown, and a person who decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipelines.core.stage import INCONCLUSIVE, REFUSED, USAGE
from pipelines.tracking.sync import sync
from tests.promotion.kit import asked, plant_noise, retrain, stand
from tests.stages import shipped_gate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


@pytest.fixture(scope="module")
def versions(project: Path) -> None:
    """Version 1 finds the defects; version 2 has learned them as normal, and finds none."""
    retrain(seed=0)
    sync()
    plant_noise()
    retrain(seed=1)
    sync()


@contextmanager
def gate_of_params(**rules: object) -> Iterator[None]:
    """params.yaml asks for this meanwhile."""
    text = Path("params.yaml").read_text()
    values = yaml.safe_load(text)
    Path("params.yaml").write_text(yaml.safe_dump(values | {"gate": values["gate"] | rules}))
    try:
        yield
    finally:
        Path("params.yaml").write_text(text)


def test_a_first_champion_that_misses_defects_is_refused_and_stays_no_champion(versions: None) -> None:
    """The night that promoted a model which misses every defect, with the limits as they are shipped."""
    stand()
    with gate_of_params(**shipped_gate()):
        refused = asked("--version", "2")
    assert refused.code == REFUSED
    assert "version 2 is refused, there is no champion: " in refused.said
    assert "misses: 4 of 4 defective images missed" in refused.said
    assert refused.aliases["champion"] is None


def test_a_first_champion_is_a_persons_decision(versions: None) -> None:
    stand()
    with gate_of_params(first="ask"):
        unclear = asked("--version", "1")
        assert unclear.code == INCONCLUSIVE
        assert unclear.of("inconclusive") == {"first"}
        assert unclear.failed() == set()
        assert unclear.said.startswith("error: plates: version 1 is inconclusive, there is no champion: first: ")
        assert unclear.said.endswith('fastflow promote plates --version 1 --accept-inconclusive "why"\n')
        assert unclear.aliases["champion"] is None
        assert unclear.tags == {"gate": "inconclusive: unclear first"}
        assert asked("--version", "1", "--accept-inconclusive", " ").code == USAGE
        assert asked("--version", "2", "--accept-inconclusive", "it must be").code == REFUSED  # what failed, failed
        accepted = asked("--version", "1", "--accept-inconclusive", "all defects are found")
        assert (accepted.code, accepted.aliases["champion"]) == (0, "1")
        assert (accepted.decision["verdict"], accepted.decision["reason"]) == ("accepted", "all defects are found")
        assert accepted.words == "version 1, no champion before (all defects are found)"


@pytest.mark.parametrize(("answer", "code", "verdict"), [("", INCONCLUSIVE, "inconclusive"), ("seen", 0, "accepted")])
def test_at_a_terminal_a_person_is_asked(
    versions: None, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, verdict: str
) -> None:
    stand()
    questions: list[str] = []

    def answers(question: str) -> str:
        questions.append(question)
        return answer

    monkeypatch.setattr("pipelines.core.terminal.asker", lambda: answers)
    with gate_of_params(first="ask"):
        outcome = asked("--version", "1")
    assert (outcome.code, outcome.decision["verdict"], outcome.decision["reason"]) == (code, verdict, answer)
    (question,) = questions
    assert "unclear: first. To take version 1 as the first champion, say why" in question


def test_without_enough_images_a_floor_is_not_shown(versions: None) -> None:
    stand()
    with gate_of_params(false_reject_rate=0.1):
        unclear = asked("--version", "1")
    floors = {rule["name"]: rule for rule in unclear.decision["rules"]}
    rejected = floors["false_rejects"]["figures"]["count"]
    assert unclear.code == (REFUSED if rejected else INCONCLUSIVE)
    assert "false_rejects: " in unclear.said
    assert rejected or "about 29 good test images would show it" in unclear.said


def test_a_certificate_that_is_asked_for_and_missing_leaves_it_to_a_person(versions: None) -> None:
    stand()
    with gate_of_params(first="promote", certified={"scratch": 20}):
        unclear = asked("--version", "1")
    assert (unclear.code, unclear.of("inconclusive")) == (INCONCLUSIVE, {"certified"})
    assert "certified: there is no certificate; run: fastflow certify plates" in unclear.said
