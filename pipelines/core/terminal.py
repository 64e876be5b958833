"""Text on its way to a terminal: a file's name must not move the cursor, change colours or paste a command."""

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# with those that change the direction of text
CONTROL_CHARACTERS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def escape_controls(text: str) -> str:
    """Control characters, except line feed and tab, as readable escapes."""
    return CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record))


def set_up_log(stream: TextIO) -> None:
    """One line a message, on this stream; a log that was set up before stays."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _EscapingStream(io.TextIOBase):
    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        self._terminal.write(escape_controls(text))
        return len(text)

    def flush(self) -> None:
        self._terminal.flush()

    def fileno(self) -> int:
        return self._terminal.fileno()

    def isatty(self) -> bool:
        return True


@contextmanager
def escaping_stdout() -> Iterator[None]:
    """What is printed meanwhile, where stdout is a terminal; a file or a pipe gets it as it is."""
    stdout = sys.stdout
    if not stdout.isatty():
        yield
        return
    sys.stdout = _EscapingStream(stdout)
    try:
        yield
    finally:
        sys.stdout = stdout


def asker() -> Callable[[str], str] | None:
    """What asks a question at the terminal and returns the answer, stripped; None where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str) -> str:
        print(escape_controls(question), end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()

    return ask
