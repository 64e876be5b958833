"""One process at a time, by a lock on a file: the kernel releases it when its process dies, however it dies."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from pipelines.core.environment import is_read_only
from pipelines.core.paths import STORE
from pipelines.core.stage import Failed, log

HOLDER_SECONDS = 1.0  # for a holder to write its process and host


class LockHeld(Failed):
    """Another process holds the lock; the message names it."""


@contextmanager
def locked(path: Path, *, what: str = "", wait: bool = True, **about: str) -> Iterator[dict[str, Any]]:
    """Waits for the lock on the file `path`, whose folder must exist; where `what` is given, logs the holder.

    Yields what the last holder wrote about itself (`about`, pid, host, since) if it died with the lock, else nothing.

    Raises:
        LockHeld: another process holds it, and `wait` is false.
    """
    # a link is not followed: what it leads to would be emptied
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666), "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise LockHeld(f"{what}: {describe(_read_holder(file))}") from None
            if what:
                log.info("%s: waiting for %s", what, describe(_read_holder(file)))
            fcntl.flock(file, fcntl.LOCK_EX)
        last_holder = _read(file)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        _write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now} | about))
        try:
            yield last_holder
        finally:
            _write(file, "")


@contextmanager
def store_lock(name: str) -> Iterator[None]:
    """One process of this folder at a time, for what two processes must not do to the MLflow store at once. No lock
    where the folder is read-only: nobody changes that store, and who only reads it may."""
    STORE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with nullcontext() if is_read_only(STORE) else locked(STORE / f"{name}.lock"):
        yield


def describe(holder: dict[str, Any]) -> str:
    """A holder as text, from what it wrote about itself."""
    if not {"pid", "host", "since"} <= holder.keys():
        return "another process"
    return f"process {holder['pid']} on {holder['host']}, which has held it since {holder['since']}"


def _read_holder(file: IO[str]) -> dict[str, Any]:
    """What the holder wrote about itself; it may hold the lock a moment before it has written."""
    end = time.monotonic() + HOLDER_SECONDS
    while not (holder := _read(file)) and time.monotonic() < end:
        time.sleep(HOLDER_SECONDS / 20)
    return holder


def _read(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        return dict(json.loads(file.read()))
    except (ValueError, TypeError, RecursionError):  # empty, half-written, or something else
        return {}


def _write(file: IO[str], text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()
