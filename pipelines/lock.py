"""One process at a time, by a lock on a file: the kernel lets go of it when its process dies, however it dies."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipelines.stage import log


@contextmanager
def locked(path: Path, *, what: str = "") -> Iterator[None]:
    """Waits for its turn at the lock file `path`, whose folder must exist; where `what` is given, names the holder."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if what:
                log.info("%s: waiting for %s", what, holder(file))
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))
        file.flush()
        yield


def holder(file: IO[str]) -> str:
    """Who has the lock, as it wrote of itself."""
    file.seek(0)
    try:
        about = json.loads(file.read())
        return f"process {about['pid']} on {about['host']}, which has it since {about['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
