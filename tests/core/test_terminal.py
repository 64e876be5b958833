"""What a command writes to a terminal, a real one: names of files cannot make it do anything."""

import os
import pty
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.core.terminal import CONTROL_CHARACTERS, escape_controls
from tests.conftest import ROOT, of_a_user

EVIL = "a\x1b]0;title\x07\x1b[2Jb\r\x9bm\u202ec.png"
WORK = """
import sys
from pipelines.core.stage import exit_code, log
from pipelines.core.progress import progress
name = sys.argv[1]
def work():
    log.info("logged %s", name)
    print("printed", name, flush=True)
    raise ValueError(f"failed {name}")
sys.exit(exit_code(work))
"""


def on_a_terminal(command: list[str], folder: Path) -> str:
    """All that a terminal gets of a process, stdout and stderr."""
    ours, its = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, env=of_a_user(ROOT), stdin=its, stdout=its, stderr=its)
    os.close(its)
    said = b""
    with suppress(OSError):  # the other end is closed: Linux's end of a terminal
        while select.select([ours], [], [], 60)[0]:
            said += os.read(ours, 65536)
    os.close(ours)
    process.wait(10)
    return said.decode().replace("\r\n", "\n")


def test_logs_results_and_errors_reach_it_without_controls(tmp_path: Path) -> None:
    said = on_a_terminal([sys.executable, "-c", WORK, EVIL], tmp_path)
    shown = "a\\x1b]0;title\\x07\\x1b[2Jb\\r\\x9bm\\u202ec.png\n"
    assert said == f"logged {shown}printed {shown}error: failed {shown}"


def test_a_command_told_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    said = on_a_terminal([sys.executable, "-m", "pipelines.cli.app", "score", EVIL, "--model", "x"], tmp_path)
    assert "a\\x1b]0;title" in said
    assert not CONTROL_CHARACTERS.search(said)


def test_a_pipe_gets_results_as_they_are(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK, EVIL]
    done = subprocess.run(command, env=of_a_user(ROOT), capture_output=True, timeout=60)
    assert f"printed {EVIL}" in done.stdout.decode()
    assert not CONTROL_CHARACTERS.search(done.stderr.decode())


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "größer, 漢字, 🙂"])
def test_other_text_stays(text: str) -> None:
    assert escape_controls(text) == text
