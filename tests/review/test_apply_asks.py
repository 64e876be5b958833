"""Nothing is applied in silence: it asks at a terminal, and elsewhere wants --yes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core.dvc import StageFailed
from tests.conftest import ROOT, fastflow, read_until, write_plates
from tests.review.kit import judged, keep
from tests.review.test_apply import PLATES, decided, files
from tests.stages import write_tiny_params


@pytest.fixture(autouse=True)
def _project(folder: Path) -> None:
    write_plates(PLATES)
    write_tiny_params(folder)


def test_nobody_is_at_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    before = files()
    decided(keep(judged(101, score=0.9))[0], "good")
    assert fastflow("review", "plates", "--apply") == 2
    assert "nothing was changed, as nobody is at a terminal to be asked" in capsys.readouterr().err
    assert files() == before


@pytest.mark.parametrize(("answer", "code", "more"), [("y", 0, 2), ("n", 1, 0), ("", 1, 0)])
def test_at_a_terminal_it_asks_first(answer: str, code: int, more: int) -> None:
    before = files()
    decided(keep(judged(101, score=0.9))[0], "good")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pipelines.cli.app", "review", "plates", "--apply"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = read_until(ours, b"apply this? [y/N] ")
    assert b"train/good: 1 more" in said
    assert files() == before
    os.write(ours, f"{answer}\n".encode())
    assert process.wait(60) == code
    os.close(ours)
    assert len(files()) == len(before) + more


def test_what_dvc_could_not_track_the_next_call_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC is a stand-in here: tests/review/test_into_training.py has the real one."""
    Path(".dvc").mkdir()
    calls = []

    def add(stage: str, command: list[str], *, on_line: object) -> None:
        calls.append(command[-2:])
        if len(calls) == 1:
            raise StageFailed(stage, 1, "ERROR: the cache's disk is full")
        Path(f"{PLATES}.dvc").write_text("tracked")

    monkeypatch.setattr("pipelines.review.apply.run_command", add)
    decided(keep(judged(101, score=0.9))[0], "good")
    assert fastflow("review", "plates", "--apply", "--yes") == 1
    assert "dvc add failed with exit code 1: the cache's disk is full" in capsys.readouterr().err
    assert fastflow("review", "plates", "--apply", "--yes") == 0
    assert "git commit -m 'plates: 1 good picture that inspectors decided on'" in capsys.readouterr().out
    assert fastflow("review", "plates", "--apply", "--yes") == 0
    assert "git commit" not in capsys.readouterr().out
    assert calls == [["add", "images/plates"]] * 3
