"""Where verdicts go: each output has a thread of its own, which sends what its queue holds, in order.

A send that fails is tried again, after pauses that grow, and what follows waits: order counts more. A message that the
other side refuses for good is parked, and the next ones go on: it would be refused for ever.
"""

import random
import threading
from pathlib import Path
from typing import Any, Protocol

from pipelines.core.stage import log
from pipelines.line.spool import Spool
from pipelines.line.state import opened

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0
IDLE_SECONDS = 1.0
ENDING_SECONDS = 15
MAX_REASON_CHARACTERS = 300
Messages = list[dict[str, Any]]


class Refusal(Exception):
    """The other side will never take this message."""


class Output(Protocol):
    """One place that verdicts go to. `at_once`: how many messages a send takes, all or none."""

    name: str
    at_once: int

    def send(self, messages: Messages) -> None:
        """Returns once they have arrived. Raises Refusal; any other exception is a failure of this attempt alone."""

    def idle(self) -> None:
        """Called now and then where there is nothing to send."""

    def close(self) -> None:
        """Ends connections."""


class Sender(threading.Thread):
    """Sends an output's queue, of the state in `file`."""

    def __init__(self, output: Output, file: Path) -> None:
        super().__init__(name=output.name, daemon=True)
        self.output, self.file = output, file
        self._news, self._ending = threading.Event(), threading.Event()
        self._failures, self._said = 0, ""

    def wake(self) -> None:
        """There is something to send."""
        self._news.set()

    def end(self) -> None:
        """Sends what waits, unless that fails; what takes too long is abandoned, and sent after the next start."""
        self._ending.set()
        self._news.set()
        self.join(ENDING_SECONDS)

    def run(self) -> None:
        over = False
        while not over:
            try:
                with opened(self.file) as base:
                    over = self._send_all(Spool(base, self.output.name))
            except Exception as error:  # of the state's file: another attempt, with another connection
                self._say(str(error))
                over = self._pause()
        try:
            self.output.close()
        except Exception as error:
            log.warning("%s: %s", self.output.name, error)

    def _send_all(self, spool: Spool) -> bool:
        """Until the end."""
        while True:
            self._news.clear()
            messages = spool.next(self.output.at_once)
            if not messages and self._ending.is_set():
                return True
            if not self._attempt(spool, messages):
                if self._pause():
                    return True
            elif not messages:
                self._news.wait(IDLE_SECONDS)

    def _attempt(self, spool: Spool, messages: Messages) -> bool:
        try:
            if messages:
                self.output.send(messages)
            else:
                self.output.idle()
        except Refusal as refusal:
            spool.park(messages[0], str(refusal)[:MAX_REASON_CHARACTERS])
            self._say(f"number {messages[0]['number']} is refused: {refusal}")
            self._failures = 0
            return True
        except Exception as error:  # whatever a network or a strange answer raises: it costs this attempt alone
            reason = (str(error) or type(error).__name__)[:MAX_REASON_CHARACTERS]
            spool.fails(reason)
            self._say(f"{reason}; trying again")
            return False
        if messages or self._failures:
            spool.done(messages)
        if self._failures:
            log.info("%s: goes on", self.output.name)
        self._failures, self._said = 0, ""
        return True

    def _say(self, what: str) -> None:
        """Once, until something else happens."""
        if self._said != what:
            log.warning("%s: %s", self.output.name, what[:MAX_REASON_CHARACTERS])
        self._said = what

    def _pause(self) -> bool:
        """After a failure; whether the end has come."""
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return self._ending.wait(longest * random.uniform(0.7, 1.0))
