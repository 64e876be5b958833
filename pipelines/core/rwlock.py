"""Which categories are being worked on at this moment, by the readers and writers that DVC records."""

import json
import os
from pathlib import Path

import psutil

RWLOCK = Path(".dvc/tmp/rwlock")


def process_of(category: str) -> int | None:
    """A living process that runs a stage of the category; None where there is none."""
    try:
        entries = json.loads(RWLOCK.read_text())
    except (OSError, ValueError):  # DVC writes it in place: a moment later it is whole
        return None
    users = list(entries.get("write", {}).items())
    users += [(path, user) for path, several in entries.get("read", {}).items() for user in several]
    for path, user in users:
        if Path(os.path.relpath(path)).parts[0] in ("fastflow", "pipelines"):
            continue  # code, which every category reads; a category may have the name of a room
        if category in (Path(path).name, Path(path).stem) and psutil.pid_exists(user["pid"]):
            return int(user["pid"])
    return None


def training_now(category: str) -> str:
    """What to add to a message about a missing model."""
    process = process_of(category)
    return f"; it is being trained now, by process {process}" if process else ""
