"""`dvc repro` for a person: what runs and how far it is on stderr; what DVC tells of its own files is left out."""

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from pipelines.dvc import DVC, put_back_model, stage_environment
from pipelines.stage import FAILED, INTERRUPTED, TERMINATED

RUNS = re.compile(r"Running stage '(\w+)(?:@(.+))?':")
RESTORED = re.compile(r"Stage '(\w+)(?:@(.+))?' is cached - skipping run, checking out outputs")
DVCS_OWN = re.compile(
    r"$|> |Updating lock file|Generating lock file|(Stage )?'.*' didn't change, skipping"
    r"|Data and pipelines are up to date|To track the changes with git"
    r"|\s*git add |To enable auto staging|\s*dvc config |Use `dvc push`"
)
ENDED = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def reproduce(stages: Sequence[str], categories: Sequence[str], *, force: bool = False) -> int:
    """Brings stages up to date and returns an exit code. A model that DVC removed for a training that then failed is
    put back."""
    command = [*DVC, "repro", *stages] + ["--force", "--single-item"] * force
    with subprocess.Popen(command, env=stage_environment(), stdout=subprocess.PIPE, text=True) as dvc:
        signals: list[signal.Signals] = []

        def pass_on(number: int, _: FrameType | None) -> None:
            signals.append(signal.Signals(number))
            if number == signal.SIGTERM or not sys.stdin.isatty():  # a terminal's Ctrl-C has reached DVC already
                dvc.terminate()

        before = {number: signal.signal(number, pass_on) for number in ENDED}
        try:
            done = _follow(dvc, categories)
            code = dvc.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if signals:
        _tell("interrupted: the same command goes on where this one was")
    if code or signals:
        for category in categories:
            if put_back_model(category):
                _tell(f"models/{category} is again the model of before")
        return ENDED[signals[0]] if signals else FAILED
    if not done:
        _tell("nothing had changed: all is up to date")
    return 0


def _follow(dvc: subprocess.Popen[str], categories: Sequence[str]) -> int:
    """Tells what DVC says, in our words; returns how many stages did something."""
    count = 0
    assert dvc.stdout is not None
    for line in map(str.rstrip, dvc.stdout):
        if found := RUNS.match(line):
            _tell(f"\n{_heading(found[1], found[2], categories)}")
        elif found := RESTORED.match(line):
            _tell(f"\n{_heading(found[1], found[2], categories)}: known from before, restored")
        elif not DVCS_OWN.match(line):
            _tell(line)
        count += found is not None
    return count


def _heading(stage: str, category: str | None, categories: Sequence[str]) -> str:
    several = len(categories) > 1 and category in categories
    place = f" ({categories.index(category) + 1} of {len(categories)})" if category and several else ""
    return f"{stage} {category or ''}{place}".rstrip()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
