"""The server's verdicts into production/: by a thread of its own, so that no answer waits for a disk."""

import queue
import threading
import time
from typing import NamedTuple

from fastflow.detector import Detector
from fastflow.frame import Framed
from pipelines.core.stage import log
from pipelines.data.appearance import Appearance, levels_of
from pipelines.scoring.production import Production, picture_of
from pipelines.scoring.production import Scored as Row
from pipelines.serving.batching import Scored

MAX_WAITING = 128  # verdicts, 25 MB at 256 x 256; more are dropped
GATHERING_SECONDS, MAX_AT_ONCE = 0.5, 64  # of one transaction
ENDING_SECONDS = 15


class _Verdict(NamedTuple):
    framed: Framed
    sha256: str
    found: Scored
    detector: Detector


class Recorder:
    """Takes verdicts, and writes those of each category together."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[_Verdict | None] = queue.Queue(MAX_WAITING)
        self._written: dict[str, Production] = {}
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def add(self, framed: Framed, sha256: str, found: Scored, detector: Detector) -> None:
        """Returns at once; a verdict that comes faster than the disk writes is dropped, which is said once."""
        try:
            self._waiting.put_nowait(_Verdict(framed, sha256, found, detector))
        except queue.Full:
            if not self._warned:
                log.warning("verdicts come faster than production/ is written: not all are kept; scoring goes on")
            self._warned = True

    def end(self) -> None:
        """Writes what waits; what takes too long is abandoned."""
        try:
            self._waiting.put(None, timeout=ENDING_SECONDS)
        except queue.Full:
            return
        self._thread.join(ENDING_SECONDS)

    def _work(self) -> None:
        ending = False
        while not ending:
            taken = [self._waiting.get()]
            end = time.monotonic() + GATHERING_SECONDS
            while taken[-1] is not None and len(taken) < MAX_AT_ONCE and (left := end - time.monotonic()) > 0:
                try:
                    taken.append(self._waiting.get(timeout=left))
                except queue.Empty:
                    break
            ending = taken[-1] is None
            try:
                self._write([one for one in taken if one is not None])
            except Exception:  # whatever it is, the next verdicts are written, and the server serves
                log.exception("%d verdicts are not kept in production/", len(taken))
        for production in self._written.values():
            production.close()

    def _write(self, verdicts: list[_Verdict]) -> None:
        rows: dict[str, list[Row]] = {}
        for one in verdicts:
            rows.setdefault(one.detector.category, []).append(row_of(one.framed, one.sha256, one.found, one.detector))
        for category, found in rows.items():
            self._written.setdefault(category, Production(category, "serve")).add(found)


def row_of(framed: Framed, sha256: str, found: Scored, detector: Detector, *, name: str | None = None) -> Row:
    """What production keeps of a picture; `name`: of its file, where it has one."""
    picture, shape = picture_of(framed), framed.shape
    return Row(
        name=name, sha256=sha256, pred_score=found.pred_score, pred_label=found.pred_label,
        threshold=float(detector.threshold["image"]), model=detector.version,
        looks=Appearance(shape[1], shape[0], *levels_of(picture)), pixels=picture,
    )  # fmt: skip
