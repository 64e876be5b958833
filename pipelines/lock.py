"""One process at a time, by a lock on a file: the kernel lets go of it when its process dies, however it dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for its turn at the lock file `path`, whose folder must exist."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
