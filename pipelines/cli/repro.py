"""`dvc repro` with readable output: which stage runs, and its progress, on stderr; DVC's notes on its own files are
left out."""

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pipelines.core.dvc import DVC, HINTS, restore_model, stage_environment
from pipelines.core.environment import is_read_only
from pipelines.core.lock import locked
from pipelines.core.paths import model_folder
from pipelines.core.run import LOCKS
from pipelines.core.rwlock import process_of
from pipelines.core.signals import EXIT_CODES, INTERRUPTED_TEXT, forwarding_signals, interrupt
from pipelines.core.stage import EXIT_CODE_FILE, FAILED
from pipelines.core.terminal import escape_controls

RUNNING = re.compile(r"Running stage '(\w+)(?:@(.+))?':")
RESTORED = re.compile(r"Stage '(\w+)(?:@(.+))?' is cached - skipping run, checking out outputs")
DVC_NOTES = re.compile(
    r"$|> |Updating lock file|Generating lock file|(Stage )?'.*' didn't change, skipping"
    rf"|Data and pipelines are up to date|{HINTS.pattern}"
)


def reproduce(stages: Sequence[str], categories: Sequence[str], *, force: bool = False) -> int:
    """Brings stages up to date and returns an exit code, that of the stage which failed. A model that DVC removed for
    a training that then failed is restored.

    Raises:
        OSError: the project cannot be written.
        LockHeld: another such command works on one of the categories.
    """
    if is_read_only(Path()):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(Path.cwd()))
    LOCKS.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:  # DVC notes a user only once a stage starts: two commands would meet there, in its words
        for category in categories:
            what = f"{category} is being worked on; try again when that has ended"
            held.enter_context(locked(LOCKS / f"reproduce@{category}.lock", what=what, wait=False))
        for category in categories:
            if process := process_of(category):
                _print(f"error: {category} is being worked on by process {process}; try again when that has ended")
                return FAILED
        return _reproduce(stages, categories, force=force)


def _reproduce(stages: Sequence[str], categories: Sequence[str], *, force: bool) -> int:
    existing = [category for category in categories if model_folder(category).exists()]
    command = [*DVC, "repro", *stages] + ["--force", "--single-item"] * force
    groups: list[int] = []

    def end() -> None:  # DVC waits for its stage, which ends its step; their own group gets the signal once
        for group in groups:
            interrupt(group)

    with tempfile.TemporaryDirectory() as scratch, forwarding_signals(end) as signals:
        code_file = Path(scratch) / "code"
        environment = stage_environment() | {EXIT_CODE_FILE: str(code_file)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as dvc:
            groups.append(dvc.pid)
            if signals:  # received before the process started
                end()
            ran = _follow(dvc, categories)
            code = dvc.wait()
        failed = int(code_file.read_text()) if code_file.is_file() else FAILED
    if signals:
        _print(INTERRUPTED_TEXT)
    if code or signals:
        for category in categories:
            if (category in existing or ("train", category) in ran) and restore_model(category):
                _print(f"models/{category} is again the previous model")
        return EXIT_CODES[signals[0]] if signals else failed
    if not ran:
        _print("nothing has changed: everything is up to date")
    return 0


def _follow(dvc: subprocess.Popen[str], categories: Sequence[str]) -> set[tuple[str, str | None]]:
    """Prints DVC's output in short form; returns the stages that ran or were restored, with their categories."""
    ran = set()
    assert dvc.stdout is not None
    for line in map(str.rstrip, dvc.stdout):
        if found := RUNNING.match(line):
            _print(f"\n{_heading(found[1], found[2], categories)}")
        elif found := RESTORED.match(line):
            _print(f"\n{_heading(found[1], found[2], categories)}: restored from cache")
        elif not DVC_NOTES.match(line):
            _print(line)
        if found:
            ran.add((found[1], found[2]))
    return ran


def _heading(stage: str, category: str | None, categories: Sequence[str]) -> str:
    several = len(categories) > 1 and category in categories
    place = f" ({categories.index(category) + 1} of {len(categories)})" if category and several else ""
    return f"{stage} {category or ''}{place}".rstrip()


def _print(text: str) -> None:
    print(escape_controls(text), file=sys.stderr, flush=True)
