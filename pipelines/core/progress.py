"""Progress, rate and time left: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tqdm import tqdm

from pipelines.core.stage import log
from pipelines.core.terminal import escape_controls

LINE_SECONDS = 15.0


class Advance(Protocol):
    """Reports that `amount` more is done."""

    def __call__(self, amount: int = 1, /) -> None: ...


@contextmanager
def progress(what: str, total: int | None, *, unit: str, done: int = 0) -> Iterator[Advance]:
    """Yields a function to call as work proceeds; `unit` "B" counts in kB, MB, GB. Threads may call it."""
    on_terminal = sys.stderr.isatty()
    bar = tqdm(
        total=total, initial=done, desc=escape_controls(what), unit=unit, unit_scale=unit == "B", file=sys.stderr,
        delay=0.5, disable=not on_terminal,
    )  # fmt: skip
    start = logged = time.monotonic()
    reached = done

    def advance(amount: int = 1, /) -> None:
        nonlocal logged, reached
        reached += amount
        bar.update(amount)
        now = time.monotonic()
        if not on_terminal and now - logged >= LINE_SECONDS:
            logged = now
            line = tqdm.format_meter(reached, total, now - start, initial=done, prefix=what, unit=unit,
                                     unit_scale=unit == "B", ncols=0)  # fmt: skip
            log.info("%s", line)

    with bar:
        yield advance
