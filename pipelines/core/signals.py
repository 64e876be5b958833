"""How a stage ends early: between two steps, its state saved; and never after the DVC that started it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from pipelines.core.stage import INTERRUPTED, TERMINATED, Terminated

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: TERMINATED}  # by signal
INTERRUPTED_TEXT = "interrupted: the same command resumes where this one stopped"
WATCH_SECONDS = 0.2
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")


@contextmanager
def forwarding_signals(send: Callable[[], None]) -> Iterator[list[signal.Signals]]:
    """Inside, a Ctrl-C, SIGTERM or closed terminal is added to the list that this yields, and passed on by `send`."""
    received: list[signal.Signals] = []

    def note(number: int, _: object) -> None:
        received.append(signal.Signals(number))
        send()

    wanted = [n for n in EXIT_CODES if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]  # under nohup
    before = {number: signal.signal(number, note) for number in wanted}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(group: int) -> None:
    """A Ctrl-C for a process group, if it is still there."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)


@contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Inside, SIGTERM and Ctrl-C wait until the function that this yields is called, or until the end; then they raise.

    A second one ends the process at once. In another thread than the main one, nothing changes.
    """
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        with suppress(OSError):  # unbuffered: the signal may come in the middle of a print, where log would fail
            os.write(1, b"stopping after this step; once more, to stop at once\n")

    def check() -> None:
        if received:
            raise Terminated(TERMINATED) if received[0] == signal.SIGTERM else KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield check
        check()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_dvc() -> None:
    """Where DVC runs this process, sends it SIGTERM as soon as DVC is gone: killed, DVC leaves its stages running, and
    they would write into the output of the next one."""
    if "DVC_STAGE" not in os.environ:
        return
    parent = os.getppid()
    dvc = None
    with suppress(psutil.Error):  # it is gone already
        above = psutil.Process().parents()  # DVC runs commands in a shell, which may or may not stay between them
        dvc = next((process for process in above if process.name().lstrip("-") not in SHELLS), None)

    def watch() -> None:
        while os.getppid() == parent and dvc is not None and dvc.is_running():
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
