"""Signals that wait for the end of a step, and a stage that ends with the DVC that began it."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

WORKING = """
import sys, time
from pipelines.core.signals import deferred_signals
from pipelines.core.stage import exit_code
def work():
    with deferred_signals() as check:
        print("working", flush=True)
        for _ in range(600):
            time.sleep(0.1)
            {check}
sys.exit(exit_code(work))
"""


def start(check: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKING.format(check=check)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_waits_for_the_step_and_the_second_does_not(number: signal.Signals, code: int) -> None:
    process = start(check="pass")  # a step that does not end
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping after this step; once more, to stop at once\n"
    time.sleep(0.5)
    assert process.poll() is None, "it did not wait"
    process.send_signal(number)
    assert process.wait(10) == code
    process.communicate(timeout=120)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_between_two_steps_it_ends(number: signal.Signals, code: int) -> None:
    process = start(check="check()")
    process.send_signal(number)
    assert process.wait(10) == code
    process.communicate(timeout=120)


@pytest.mark.parametrize("shell", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_ends_with_its_dvc_whether_or_not_a_shell_is_between_them(shell: bool, number: signal.Signals) -> None:
    stage = "import time, pipelines.core.signals as s; s.end_with_dvc(); print('pid', flush=True); time.sleep(60)"
    inner = [sys.executable, "-c", stage]
    if shell:  # a shell that stays: it has something to do afterwards
        inner = ["sh", "-c", f'{shlex.quote(sys.executable)} -c "{stage}"; true']
    outer = f"import subprocess; p = subprocess.Popen({inner!r}); print(p.pid, flush=True); p.wait(120)"
    dvc = subprocess.Popen(
        [sys.executable, "-c", outer], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"DVC_STAGE": "x"}
    )
    assert dvc.stdout is not None
    assert int(dvc.stdout.readline()) > 0
    assert dvc.stdout.readline() == "pid\n"
    dvc.send_signal(number)
    dvc.wait(120)
    begin = time.monotonic()
    assert dvc.stdout.read() == ""  # until all that hold it are gone: the child, and the shell
    assert time.monotonic() - begin < 5
    dvc.stdout.close()


def test_a_reader_that_has_enough_is_no_fault() -> None:
    """As `fastflow score ... | head -1`."""
    work = (
        "from pipelines.core.stage import exit_code as run; "
        "raise SystemExit(run(lambda: [print('x' * 99) for _ in range(99999)]))"
    )
    command = [sys.executable, "-c", work]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "x" * 99 + "\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
