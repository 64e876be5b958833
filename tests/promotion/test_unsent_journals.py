"""Journals that the model store refuses hold the gate of their own category, and no other."""

from pathlib import Path

import pytest

from pipelines.core.params import read_params
from pipelines.promotion.promote import promote
from pipelines.tracking import journal, runs
from pipelines.tracking.sync import NotSynced, sync
from tests.stages import write_tiny_params

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


def write_journal(tags: dict[str, str], *, refused: bool) -> Path:
    """What a run leaves that ended before it was sent; MLflow refuses a parameter that has two values."""
    with runs.new_run("a run", tags=tags) as run:
        run.log_params({"epochs": 1})
        if refused:
            run.log_params({"epochs": 2})
    return journal.pending()[-1]


def ask_gate(category: str) -> None:
    """Raises ValueError where the gate got as far as looking for a version, of which there is none."""
    write_tiny_params(Path())
    promote(category, read_params())


def test_a_refused_journal_holds_the_gate_of_its_own_category_alone(caplog: pytest.LogCaptureFixture) -> None:
    refused = write_journal({"category": "gears"}, refused=True)
    of_a_retraining = write_journal({"categories": "gears, plates"}, refused=True)
    sound = write_journal({"category": "plates"}, refused=False)
    (sound / "alive").unlink()  # as a copy of it may lack it
    with pytest.raises(ValueError, match="fastflow-plates has no version yet"):
        ask_gate("plates")
    assert journal.pending() == [refused, of_a_retraining]
    assert journal.result(sound) is not None
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [w.partition(" was not sent: ")[0] for w in warnings] == ["a journal of gears", "a journal of no category"]
    assert str(refused) in warnings[0]
    with pytest.raises(NotSynced, match=r"(?s)1 of 2 journals.*a-run") as raised:
        ask_gate("gears")
    assert str(of_a_retraining) not in str(raised.value)
    with pytest.raises(NotSynced, match="2 of 2 journals"):  # as a person asks for all
        sync()

    damage(refused, b"\x00\n")  # which may then be of any category
    with pytest.raises(NotSynced, match="move those away that are beyond repair"):
        ask_gate("plates")


def damage(folder: Path, content: bytes) -> None:
    (folder / "journal.jsonl").write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64 + b"\n", b"[1]\n", b'{"op": "run"}\n{"op": "mo\n'])
def test_a_damaged_journal_that_names_no_category_may_be_of_any(content: bytes) -> None:
    damaged = write_journal({"category": "gears"}, refused=False)
    whole = (damaged / "journal.jsonl").read_bytes()
    assert journal.categories_of(damaged) == {"gears"}
    damage(damaged, content)
    assert journal.categories_of(damaged) is None
    header, rest = whole.split(b"\n", maxsplit=1)
    damage(damaged, header + b"\n\x00\n" + rest)
    assert journal.categories_of(damaged) == {"gears"}
