"""Send to MLflow what it has not received: runs whose server was down, and runs that were killed.

Nothing is sent twice: it may run at any time, also during trainings.
Run as: fastflow sync
"""

import os
import time
from pathlib import Path

import mlflow

from pipelines.core.stage import Failed, ServerAway, log
from pipelines.registry import store
from pipelines.tracking import journal
from pipelines.tracking.replay import Replay

POLL_SECONDS = 0.3
RETRY_SECONDS = 5
ORPHAN_SECONDS = 60  # how long an uploader outlives its writer: enough to record that it was killed
PERMANENT_ERRORS = ("INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED")  # a retry does not help


class NotSynced(Failed):
    """Some journals could not be sent; the message names them."""


def sync(*, category: str | None = None) -> int:
    """Replays every journal whose writer is gone; returns how many there were.

    Raises:
        ServerAway: the store does not answer.
        NotSynced: some cannot be sent; the others are. With `category`, only for those that name it or are damaged so
            that they may be of any category; the others are logged as a warning.
    """
    client = store.connect()
    refused = []
    todo = [folder for folder in journal.pending() if not journal.writer_is_alive(folder)]
    for folder in todo:
        try:
            if replay_whole(client, folder):
                log.info("sent %s", folder.name)
        except Exception as error:  # one bad journal must not hold up the others
            store.connect()  # raises ServerAway where that is the reason
            named = journal.categories_of(folder)
            if category is None or named is None or category in named:
                refused.append(f"{folder}: {error}")
            else:
                log.warning("a journal of %s was not sent: %s: %s", ", ".join(named) or "no category", folder, error)
    if refused:
        raise NotSynced(
            f"{len(refused)} of {len(todo)} journals could not be sent; move those away that are beyond repair:\n  "
            + "\n  ".join(refused)
        )
    return len(todo)


def replay_whole(client: mlflow.MlflowClient, folder: Path) -> bool:
    """Sends one ended journal, unless another process is sending it."""
    with journal.replaying(folder) as mine:
        if not mine:
            return False
        replay = Replay(client, folder)
        replay.advance()
        if replay.done:
            journal.finish(folder, replay.result)
        return replay.done


def follow(folder: Path) -> None:
    """Uploads one journal while it is written, and older ones in its pauses; ends when it is sent or given up."""
    os.nice(5)  # the training comes first
    with journal.replaying(folder) as mine:
        if not mine:
            return
        (folder / "talking").touch()
        client = _connect_with_retries(folder)
        replay = Replay(client, folder)
        others = [p for p in journal.pending() if p != folder and not journal.writer_is_alive(p)]
        orphaned = None
        while True:
            try:
                for other in others[:1]:
                    others.remove(other)
                    replay_whole(client, other)
                replay.advance()
            except (ValueError, KeyError, AssertionError):
                raise
            except Exception as error:  # of MLflow, requests or SQLAlchemy: may be temporary
                if getattr(error, "error_code", "") in PERMANENT_ERRORS:
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


def _connect_with_retries(folder: Path) -> mlflow.MlflowClient:
    while True:
        try:
            return store.connect()
        except ServerAway:
            if not journal.writer_is_alive(folder):
                raise
            time.sleep(RETRY_SECONDS)
