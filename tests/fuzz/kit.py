"""What a reader of files must hold: any content is read, or refused in a sentence that names the file.

The fast tests try a few examples, always the same. With FASTFLOW_FUZZ_MINUTES each reader gets other ones for so many
minutes of this process's own time, and a line in FASTFLOW_FUZZ_LOG: `make fuzz`.
"""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

ROOT = Path(__file__).parent.parent.parent
MINUTES = float(os.environ.get("FASTFLOW_FUZZ_MINUTES", "0"))
LOG = os.environ.get("FASTFLOW_FUZZ_LOG", "")
EXAMPLES = 40  # of a reader in the fast tests
EXAMPLES_PER_ROUND = 200  # of a long run, between two looks at the clock
SLOWEST_SECONDS = 20.0  # of the processor's time, for one small file
OURS = ("fastflow.", "pipelines.")


def fuzz(reader: str, examples: SearchStrategy[Any], check: Callable[[Any], None], *, count: int = EXAMPLES) -> None:
    """Calls `check` with examples: `count` of them, or for MINUTES."""
    tried, slowest = 0, 0.0

    def timed(example: Any) -> None:
        nonlocal tried, slowest
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's hints; in the tests they are errors
            check(example)
        seconds = time.process_time() - begin
        tried, slowest = tried + 1, max(slowest, seconds)
        assert seconds < SLOWEST_SECONDS, f"{seconds:.0f} s for one file"  # this one's: hypothesis looks for the least

    def round_of(number: int, *, always_the_same: bool) -> None:
        how = settings(
            max_examples=number, derandomize=always_the_same, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        how(given(examples)(timed))()

    if not MINUTES:
        round_of(count, always_the_same=True)
        return
    begin = time.process_time()
    while (spent := time.process_time() - begin) < 60 * MINUTES:
        round_of(EXAMPLES_PER_ROUND, always_the_same=False)
    line = f"{reader}: {tried:,} examples in {spent / 60:.1f} minutes, the slowest {slowest:.2f} s"
    if LOG:
        with Path(LOG).open("a") as log:
            log.write(f"{line}\n")


def read_or_refused(
    read: Callable[[], Any], *names: object, errors: tuple[type[Exception], ...] = (ValueError,)
) -> Any:
    """What `read` returns; None where it is refused by one of our own errors, which names the file by one of `names`.

    Errors of a library that are ValueErrors by descent, such as UnicodeDecodeError, are none of ours.
    """
    try:
        return read()
    except errors as error:
        kind = type(error)
        ours = kind in (ValueError, OSError) or kind.__module__.startswith(OURS) or issubclass(kind, OSError)
        if not ours or not any(str(name) in str(error) for name in names):
            raise
        return None
