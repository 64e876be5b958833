"""Which categories are being worked on at this moment, by the readers and writers that DVC records."""

import json
import os
from pathlib import Path

import psutil

RWLOCK = Path(".dvc/tmp/rwlock")


def process_of(category: str) -> int | None:
    """A living process that runs a stage of the category; None where there is none."""
    for path, pid in _users():
        if Path(os.path.relpath(path)).parts[:1] in (("fastflow",), ("pipelines",)):
            continue  # code, which every category reads; a category may have the name of a room
        if category in (Path(path).name, Path(path).stem) and psutil.pid_exists(pid):
            return pid
    return None


def _users() -> list[tuple[str, int]]:
    """Each path with a process that uses it; none where DVC is writing the file, in place: a moment later it is
    whole."""
    try:
        entries = json.loads(RWLOCK.read_text())
        users = list(entries.get("write", {}).items())
        users += [(path, user) for path, several in entries.get("read", {}).items() for user in several]
        found = [(path, user["pid"]) for path, user in users]
    except (OSError, ValueError, AttributeError, LookupError, TypeError, RecursionError):
        return []
    return [(path, pid) for path, pid in found if path and type(pid) is int and 0 < pid < 2**31]


def training_now(category: str) -> str:
    """What to add to a message about a missing model."""
    process = process_of(category)
    return f"; it is being trained now, by process {process}" if process else ""
