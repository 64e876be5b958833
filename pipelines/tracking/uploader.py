"""The process that sends a run's journal to MLflow while the run writes it.

A retraining's uploader sends the journals of its stages, too: MLflow is imported once a night, not once a stage.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import mlflow

from pipelines.core.stage import ServerAway, log
from pipelines.registry import store
from pipelines.tracking import journal
from pipelines.tracking.replay import Replay

POLL_SECONDS = 0.3
RETRY_SECONDS = 5
ORPHAN_SECONDS = 60  # how long an uploader outlives its writer: enough to record that it was killed
PERMANENT_ERRORS = ("INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED")  # a retry does not help


def follow(folder: Path, *, live: bool = False) -> None:
    """Uploads one journal while it is written, and in its pauses others; ends when it is sent or given up.

    `live`: the others are also those that are still written; else those that have ended.

    Raises:
        ServerAway: the store did not take everything within a minute of the writer's end.
        ValueError, KeyError, AssertionError: the journal is damaged. MlflowException: the store refuses it.
    """
    os.nice(5)  # the training comes first
    with journal.replaying(folder) as mine:
        if not mine:
            return
        (folder / "talking").touch()
        client = _connect_with_retries(folder)
        replay, others = Replay(client, folder), Others(client, folder, live=live)
        orphaned = None
        while True:
            try:
                others.advance()
                replay.advance()
            except Exception as error:
                if is_permanent(error):
                    raise
                log.warning("MLflow: %s; trying again", error)
                time.sleep(RETRY_SECONDS)
            if replay.done:
                journal.finish(folder, replay.result)
                return
            if not journal.writer_is_alive(folder):
                orphaned = orphaned or time.monotonic()
                if time.monotonic() - orphaned > ORPHAN_SECONDS:
                    raise ServerAway("the server did not accept everything in time")
            time.sleep(POLL_SECONDS)


def is_permanent(error: Exception) -> bool:
    """Whether sending again cannot help: a damaged journal, or a store that refuses what is in it. Other errors of
    MLflow, requests or SQLAlchemy may be temporary."""
    damaged = isinstance(error, ValueError | KeyError | AssertionError)
    return damaged or getattr(error, "error_code", "") in PERMANENT_ERRORS


class Others:
    """The journals of other runs, each sent as far as it is written; one that cannot be sent holds up no other."""

    def __init__(self, client: mlflow.MlflowClient, followed: Path, *, live: bool) -> None:
        self.client, self.live = client, live
        self._left = {followed}
        self._open: dict[Path, tuple[Replay, ExitStack]] = {}

    def advance(self) -> None:
        """Sends what is new in them. Of those that have ended it takes on one, so that this does not take long.

        Raises:
            MlflowException: the store is away; call again later.
        """
        ended = False
        for folder in journal.pending():
            if folder in self._left or folder in self._open:
                continue
            if journal.writer_is_alive(folder):
                if self.live:
                    self._take(folder)
            elif not ended:
                ended = self._take(folder)
        for folder in list(self._open):
            self._send(folder)

    def _take(self, folder: Path) -> bool:
        """Takes a journal on, unless another process sends it."""
        lock = ExitStack()
        if not lock.enter_context(journal.replaying(folder)):
            lock.close()
            return False
        self._open[folder] = Replay(self.client, folder), lock
        return True

    def _send(self, folder: Path) -> None:
        replay, lock = self._open[folder]
        try:
            replay.advance()
            if not replay.done:
                return
            journal.finish(folder, replay.result)
        except Exception as error:
            if not is_permanent(error):
                raise
            log.warning("%s is not sent: %s", folder, error)
            self._left.add(folder)
        del self._open[folder]
        lock.close()


def _connect_with_retries(folder: Path) -> mlflow.MlflowClient:
    while True:
        try:
            return store.connect()
        except ServerAway:
            if not journal.writer_is_alive(folder):
                raise
            time.sleep(RETRY_SECONDS)
