"""The loop of the line: the next pictures, their verdicts, the state; what waits, to Prometheus and the log."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.core.stage import log
from pipelines.line.arrivals import Arrivals
from pipelines.line.instruments import Instruments
from pipelines.line.judge import MAX_BYTES, Judge, Outcome
from pipelines.line.outputs import Sender
from pipelines.line.sight import Sight
from pipelines.line.state import State
from pipelines.line.status import waiting
from pipelines.line.verdict import message

AT_ONCE = 16  # pictures taken from the queue
AGAIN_SECONDS = 10.0  # until a picture that could not be judged is tried again
COUNT_SECONDS, LOG_SECONDS = 5.0, 10.0


class Watcher:
    """Takes pictures in order of arrival, has them judged, and keeps what came of it."""

    def __init__(
        self,
        station: str,
        category: str,
        state: State,
        arrivals: Arrivals,
        sight: Sight,
        judge: Judge,
        senders: Sequence[Sender],
        instruments: Instruments,
    ) -> None:
        self.station, self.category = station, category
        self.state, self.arrivals, self.sight, self.judge = state, arrivals, sight, judge
        self.senders, self.instruments = senders, instruments
        self._next_count = self._next_log = 0.0
        self._judged = self._rejected = self._overtaken = 0

    def step(self) -> bool:
        """Judges the next pictures; whether there were any."""
        self.sight.look()
        pictures = self.arrivals.take(AT_ONCE, MAX_BYTES)
        if pictures:
            self._keep(self.judge.judge(pictures))
            self.state.prune(self.arrivals.present)
        if time.monotonic() >= self._next_count:
            self._count()
        return bool(pictures)

    def _keep(self, outcomes: list[Outcome]) -> None:
        final = []
        there = all(one.fault is None for one in outcomes) or is_there(self.arrivals.folder)
        for one in outcomes:
            if one.known or (one.is_final and self.state.knows(one.identity)):
                self.state.saw(one.identity, one.picture.signature)
            elif one.found is not None or (one.is_final and there):
                final.append(one)
            elif one.fault is not None:
                self.arrivals.again(one.picture, seconds=AGAIN_SECONDS, counts=there)
            else:
                self.arrivals.overtaken += 1
                self.arrivals.note(one.picture.path.name)
        self.state.add([(one.identity, one.picture.signature, self._message(one)) for one in final])
        for sender in self.senders if final else ():
            sender.wake()
        for one in final:
            self._note(one)

    def _message(self, outcome: Outcome) -> dict[str, Any]:
        return message(
            station=self.station, category=self.category, picture=outcome.picture, sha256=outcome.sha256,
            now=time.time(), found=outcome.found or {}, error=None if outcome.found else outcome.fault,
        )  # fmt: skip

    def _note(self, outcome: Outcome) -> None:
        if outcome.found is None:
            self.instruments.errors.labels(self.category).inc()
            log.warning("%s: no verdict: %s", outcome.picture.path, outcome.fault)
        else:
            self._judged += 1
            self._rejected += outcome.found["pred_label"]
            self.instruments.judged.labels(self.category, str(outcome.found["pred_label"])).inc()

    def _count(self) -> None:
        """What waits, for Prometheus; and a line in the log now and then."""
        now = time.monotonic()
        self._next_count = now + COUNT_SECONDS
        counts = waiting(self.state.base)
        for output in self.state.outputs:
            waits, refused = counts.get(output, (0, 0))
            self.instruments.backlog.labels(self.category, output).set(waits)
            self.instruments.refused.labels(self.category, output).set(refused)
        self.instruments.waiting.labels(self.category).set(self.arrivals.waiting())
        self.instruments.oldest = self.arrivals.oldest()
        self.instruments.there.labels(self.category).set(self.sight.is_there)
        self.instruments.overtaken.labels(self.category).set(self.arrivals.overtaken)
        if self.arrivals.overtaken > self._overtaken:
            more, self._overtaken = self.arrivals.overtaken - self._overtaken, self.arrivals.overtaken
            log.warning("%d pictures were overwritten or removed before they could be judged", more)
        if now >= self._next_log and self._judged:
            log.info("%d judged, %d of them rejected; %d wait", self._judged, self._rejected, self.arrivals.waiting())
            self._judged, self._rejected, self._next_log = 0, 0, now + LOG_SECONDS


def is_there(folder: Path) -> bool:
    """Whether the folder can be listed now."""
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False
