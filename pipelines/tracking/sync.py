"""Send to MLflow what it has not received: runs whose server was down, and runs that were killed.

Nothing is sent twice: it may run at any time, also during trainings.
Run as: fastflow sync
"""

import sqlite3
from pathlib import Path

import mlflow

from fastflow.files import is_space_error, no_space
from pipelines.core.stage import Failed, log
from pipelines.registry import store
from pipelines.tracking import journal
from pipelines.tracking.replay import Replay


class NotSynced(Failed):
    """Some journals could not be sent; the message names them."""


def sync(*, category: str | None = None) -> int:
    """Replays every journal whose writer is gone; returns how many there were.

    Raises:
        ServerAway: the store does not answer.
        OSError: the store's disk, on this machine, is full; every journal is kept.
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
            if is_disk_full(error):
                raise no_space(folder, size_of(folder), f"the MLflow store has no room for {folder}") from error
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


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is of a disk without room, as SQLite or the system says it."""
    while error is not None:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or is_space_error(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def size_of(folder: Path) -> int:
    """Bytes of a journal with its files; at least a megabyte, which SQLite may take for little."""
    return max(1_000_000, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


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
