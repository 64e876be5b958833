"""DVC as a program: run one stage, stream its output, and report its outcome.

    dvc --wait-for-lock repro --single-item train@bottle

in a process group of its own, so that ending the task ends the trainer too.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pipelines.core.environment import corrections
from pipelines.core.paths import model_folder
from pipelines.core.signals import interrupt
from pipelines.core.stage import INTERRUPTED, Failed

Outcome = Literal["ran", "restored", "unchanged"]
DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
HINTS = re.compile(r"To track the changes with git|\s*git add |To enable auto staging|\s*dvc config |Use `dvc push`")
_LINES_KEPT = 300
_GRACE_SECONDS = 10
TIMED_OUT = 124  # exit code, that of coreutils' timeout
EMPTY: Mapping[str, str] = MappingProxyType({})
_running: set[int] = set()  # process groups of `run_command`
_ending = threading.Event()


class StageFailed(Failed):
    """A stage ended with an error. `exit_code` is the stage command's own, or DVC's where the stage did not run."""

    def __init__(self, stage: str, exit_code: int, last_lines: str) -> None:
        super().__init__(stage, exit_code, last_lines)
        self.stage, self.exit_code, self.last_lines = stage, exit_code, last_lines

    @property
    def reason(self) -> str:
        """The stage's own error message where it printed one, else the end of its output."""
        sentences = re.findall(r"^(?:error|ERROR): (.+(?:\n  .+)*)", self.last_lines, flags=re.MULTILINE)
        if sentences:
            return " ".join(sentences[0].split())
        return self.last_lines.strip().rpartition("\n")[2] or "it printed nothing"

    def __str__(self) -> str:
        return f"{self.stage} failed with exit code {self.exit_code}: {self.reason}"


def run_stage(
    stage: str,
    *,
    on_line: Callable[[str], None],
    force: bool = False,
    pull: bool = False,
    environment: Mapping[str, str] = EMPTY,
    seconds: float | None = None,
) -> Outcome:
    """Runs one stage if it is stale, without its upstream; `on_line` gets each line of output as it comes, but for
    DVC's hints on git.

    `pull`: what another machine made of the same inputs is fetched from DVC's remote instead.

    Raises:
        StageFailed: the stage or DVC ended with an error, or took longer than `seconds` and was ended.
    """
    command = [*DVC, "repro", "--single-item", stage] + ["--force"] * force + ["--pull"] * pull
    return run_command(stage, command, on_line=on_line, environment=environment, seconds=seconds)


def run_command(
    stage: str,
    command: list[str],
    *,
    on_line: Callable[[str], None],
    environment: Mapping[str, str] = EMPTY,
    seconds: float | None = None,
    folder: Path = Path(),
) -> Outcome:
    """Runs a command in `folder` as stages are run; `stage` is its name. Raises StageFailed; always, after
    `end_running`."""
    if _ending.is_set():
        raise StageFailed(stage, INTERRUPTED, "error: interrupted")
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=stage_environment() | dict(environment),
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdout is not None
    _running.add(process.pid)
    if _ending.is_set():
        interrupt(process.pid)
    late = threading.Event()

    def end() -> None:
        late.set()
        end_group(process)

    limit = threading.Timer(seconds or 0, end)
    if seconds:
        limit.start()
    try:
        outcome, last_lines = _stream(process.stdout, on_line)
        code = process.wait()
    finally:
        limit.cancel()
        _running.discard(process.pid)
        end_group(process)
        process.stdout.close()
    if code and seconds and late.is_set():
        raise StageFailed(stage, TIMED_OUT, f"error: it was ended after {seconds / 60:g} minutes: retrain.minutes")
    if code:
        raise StageFailed(stage, _exit_code(last_lines, code), "\n".join(last_lines))
    return outcome


def _stream(output: Iterable[str], on_line: Callable[[str], None]) -> tuple[Outcome, deque[str]]:
    """Passes each line on until the output ends; the outcome of the stage, and its last lines."""
    outcome: Outcome = "unchanged"
    last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
    for line in map(str.rstrip, output):
        if line:
            last_lines.append(line)
            if not HINTS.match(line):
                on_line(line)
        outcome = _outcome(line) or outcome
    return outcome, last_lines


def end_running() -> None:
    """Has every `run_command` of this process end after its step, as a Ctrl-C would; no further one starts."""
    _ending.set()
    for group in list(_running):
        interrupt(group)


def is_ending() -> bool:
    return _ending.is_set()


def stale_stages(stages: list[str]) -> set[str]:
    """Those of the stages that are stale by themselves; stages that depend on them are not listed.

    Raises:
        StageFailed: DVC ended with an error.
    """
    targets = stages if len(stages) == 1 else []  # of many, DVC collects each by itself: all at once are sooner known
    return set(json.loads(_dvc("status", "--json", *targets, of=", ".join(stages)) or "{}")) & set(stages)


def is_up_to_date(stage: str) -> bool:
    """Whether a stage's inputs and outputs are unchanged.

    Raises:
        StageFailed: DVC ended with an error.
    """
    return not stale_stages([stage])


def commit_outputs(stage: str) -> None:
    """Has DVC record a stage's outputs as they are now as the result of its inputs.

    Raises:
        StageFailed: DVC ended with an error.
    """
    _dvc("commit", "--force", stage, of=stage)


def restore_model(category: str) -> bool:
    """Restores the model that DVC removed before a training which then failed; whether there was one to restore."""
    if model_folder(category).exists():
        return False
    command = [*DVC, "checkout", "--force", f"train@{category}"]
    subprocess.run(command, capture_output=True, env=stage_environment(), check=False)
    return model_folder(category).exists()


def _dvc(*arguments: str, of: str) -> str:
    done = subprocess.run([*DVC, *arguments], capture_output=True, text=True, env=stage_environment(), check=False)
    if done.returncode:
        raise StageFailed(of, done.returncode, done.stderr)
    return done.stdout.strip()


def stage_environment() -> dict[str, str]:
    """This process's environment, with our interpreter first on PATH: stages run plain `python`."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": os.environ.get("DVC_SITE_CACHE_DIR", str(Path(".dvc/site-cache").resolve())),
        "PYTHONUNBUFFERED": "1",
        **corrections(os.environ),
    }


def end_group(process: subprocess.Popen[str]) -> None:
    """Ends whatever is left of the process and its children: by SIGTERM, then by SIGKILL."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _outcome(line: str) -> Outcome | None:
    if line.startswith("Running stage"):
        return "ran"
    return "restored" if "is cached - skipping run, checking out outputs" in line else None


def _exit_code(last_lines: deque[str], code: int) -> int:
    found = re.search(r"exited with (-?\d+)", "\n".join(last_lines))
    return int(found[1]) if found else code
