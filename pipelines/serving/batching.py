"""Waiting requests are scored in batches: one thread, one bounded queue."""

import math
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastflow.detector import Detector, not_finite
from fastflow.frame import Framed, at_once
from fastflow.maps import picture_map
from pipelines.core.stage import log

ENDING_SECONDS = 30  # for the images that wait


class QueueFull(RuntimeError):
    """The queue is full."""


class Scored(NamedTuple):
    """One image's answer, its map without padding; `milliseconds` of its batch, `batch_size` of how many."""

    pred_score: float
    pred_label: int
    anomaly_map: NDArray[np.float32]
    milliseconds: float
    batch_size: int


class _Waiting(NamedTuple):
    framed: Framed
    detector: Detector
    answer: Future[Scored]


class Batcher:
    """Scores images, up to `batch_size` at once, in the order they came.

    An image is scored by the model that it was decoded for, also if that is replaced meanwhile.
    """

    def __init__(self, *, batch_size: int, max_waiting: int) -> None:
        self.batch_size, self.max_waiting = batch_size, max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="scoring", daemon=True)
        self._thread.start()

    def submit(self, framed: Framed, detector: Detector) -> Future[Scored]:
        """The future answer for an image in the model's frame; it may be cancelled in time. Raises QueueFull."""
        answer: Future[Scored] = Future()
        with self._changed:
            if len(self._waiting) >= self.max_waiting or self._ending:
                raise QueueFull(f"{len(self._waiting)} images wait already")
            self._waiting.append(_Waiting(framed, detector, answer))
            self._changed.notify()
        return answer

    def waiting(self) -> int:
        return len(self._waiting)

    def end(self) -> None:
        """Scores the images that wait, then ends; work that does not end in time is abandoned."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(ENDING_SECONDS)

    def _work(self) -> None:
        while batch := self._next():
            taken = [one for one in batch if one.answer.set_running_or_notify_cancel()]
            if taken:
                self._score(taken)

    def _next(self) -> list[_Waiting]:
        with self._changed:
            while not self._waiting and not self._ending:
                self._changed.wait()
            batch: list[_Waiting] = []
            while self._waiting and len(batch) < self.batch_size:
                first = batch[0] if batch else self._waiting[0]
                if self._waiting[0].detector is not first.detector:
                    break
                if batch and len(batch) >= at_once(first.detector.frame, self.batch_size):
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _score(self, batch: list[_Waiting]) -> None:
        start = time.perf_counter()
        try:
            images = np.stack([one.framed.pixels.transpose(2, 0, 1) for one in batch])
            found = batch[0].detector.predict(images, np.array([one.framed.size for one in batch]))
        except Exception as error:  # whatever a runtime raises: these requests fail, the next ones are tried
            log.exception("scoring failed")
            for one in batch:
                one.answer.set_exception(error)
            return
        milliseconds = 1000 * (time.perf_counter() - start)
        for i, one in enumerate(batch):
            score, label = float(found.pred_score[i]), int(found.pred_label[i])
            if not math.isfinite(score):
                log.error("scoring gave %s", score)
                one.answer.set_exception(not_finite("image", score))
                continue
            low = float(one.detector.threshold["low"])
            anomaly_map = picture_map(found.anomaly_map[i, 0], one.framed.size, one.detector.frame.roi, low=low)
            one.answer.set_result(Scored(score, label, anomaly_map, milliseconds, len(batch)))
