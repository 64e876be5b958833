"""Nothing is applied in silence: it asks at a terminal, and elsewhere wants --yes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

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
