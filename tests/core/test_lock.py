"""The lock on a file: its holder is named, also one that holds it but has not yet written its process."""

import fcntl
import json
import threading
from pathlib import Path

import pytest

from pipelines.core.lock import LockHeld, locked


def test_a_holder_that_has_not_signed_yet_is_named_when_it_has(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        signature = json.dumps({"pid": 4711, "host": "here", "since": "noon"})
        late = threading.Timer(0.2, lambda: path.write_text(signature))
        late.start()
        with pytest.raises(LockHeld, match="at work: process 4711 on here"), locked(path, what="at work", wait=False):
            pass
        late.join(120)


def test_a_holder_that_never_signs_is_another_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(LockHeld, match="at work: another process"), locked(path, what="at work", wait=False):
            pass
