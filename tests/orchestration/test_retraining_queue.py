"""One retraining of a project at a time: others wait for their turn."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.core.lock import LockHeld
from pipelines.core.params import read_params
from pipelines.core.params_edit import write_values
from pipelines.core.stage import Failed
from pipelines.orchestration import flows, retraining_queue
from pipelines.orchestration.retraining_queue import queued_retraining, single_retraining
from tests.conftest import ROOT


def test_one_retraining_at_a_time_and_a_dead_one_is_known_by_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with single_retraining(["a", None]) as dead:
        assert dead == []
        with (
            pytest.raises(LockHeld, match=rf"a retraining is running: process {os.getpid()} on "),
            single_retraining(["b"]),
        ):
            pass
    code = "import os; from pipelines.orchestration import retraining_queue as q\n"
    code += "with q.single_retraining('xy'): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == 9
    with single_retraining(["c"]) as dead:
        assert dead == ["x", "y"]
    with single_retraining(["d"]) as dead:
        assert dead == []


def test_a_retraining_waits_for_its_turn_and_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    states: list[tuple[str | None, str | None]] = []
    monkeypatch.setattr(retraining_queue, "_show_state", lambda runs, state: states.append((state.name, state.message)))
    monkeypatch.setattr(retraining_queue, "POLL_SECONDS", 0.01)
    turns: list[str] = []
    held = threading.Event()

    def first() -> None:
        with queued_retraining(["a"]):
            held.set()
            while not states:
                time.sleep(0.01)
            turns.append("first")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first)
        assert held.wait(10)
        with queued_retraining(["b"]):
            turns.append("second")
        running.result(10)
    assert turns == ["first", "second"]
    assert [name for name, _ in states] == ["Queued", "Running"]
    assert states[0][1] is not None
    assert states[0][1].startswith(f"a retraining is running: process {os.getpid()} on ")
    monkeypatch.setattr(retraining_queue, "QUEUE_HOURS", 0)
    with queued_retraining(["a"]), pytest.raises(Failed, match="waited 0 hours for its turn"), queued_retraining(["b"]):
        pass


def test_a_misspelt_category_fails_at_once_while_another_retraining_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with single_retraining(["a"]):
        state = flows.retrain_all.fn(["wave"])
    assert state.is_failed()
    assert str(state.message).startswith("no category 'wave' in params.yaml")
    assert "did you mean 'weave'" in str(state.message)


def test_parameters_are_those_of_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A category that came while the retraining was queued is trained with the others."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    known = read_params().data.categories

    @contextmanager
    def queued(flow_runs: list[str | None]) -> Iterator[list[str]]:
        write_values({"data.categories": [*known, "lid"]}, Path("params.yaml"))
        yield []

    trained: list[str] = []
    monkeypatch.setattr(flows, "queued_retraining", queued)
    monkeypatch.setattr(flows, "retrain_chosen", lambda chosen, **options: trained.extend(chosen))
    assert flows.retrain_all.fn().is_completed()
    assert trained == [*known, "lid"]
