"""Verdicts to a file a day: production/line/NAME-2026-11-30.jsonl, and a further one, .2.jsonl, where one grows long.

A line is there once, also after a kill: what it may have left is looked at first.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.line.outputs import Messages
from pipelines.line.settings import JsonLines
from pipelines.line.verdict import as_text

TAIL_BYTES = 2**20  # more than one send writes


class JsonLinesOutput:
    name, at_once = "json_lines", 100

    def __init__(self, settings: JsonLines, category: str) -> None:
        self.folder, self.category = Path(settings.folder), category
        self.max_bytes = int(settings.megabytes * 1e6)
        self._seen: dict[str, set[str]] = {}  # keys in the end of each day's last file

    def send(self, messages: Messages) -> None:
        days: dict[str, Messages] = {}
        for one in messages:
            days.setdefault(one["judged"][:10], []).append(one)
        for day, some in days.items():
            try:
                self._append(day, some)
            except BaseException:
                self._seen.clear()  # part of it may have been written
                raise

    def idle(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing: each send closes its file."""

    def _append(self, day: str, messages: Messages) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._last(day)
        if day not in self._seen:
            self._seen = {day: keys_in_end(path)}  # one day at a time: a line is written soon after its verdict
        new = [one for one in messages if one["idempotency_key"] not in self._seen[day]]
        if path.exists() and path.stat().st_size >= self.max_bytes:
            path = self._part(day, number_of(path) + 1)
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(as_text(one) + "\n" for one in new))
            file.flush()
            os.fsync(file.fileno())
        self._seen[day] = {one["idempotency_key"] for one in messages}

    def _last(self, day: str) -> Path:
        parts = self.folder.glob(f"{self.category}-{day}*.jsonl")
        return max(parts, key=number_of, default=self._part(day, 1))

    def _part(self, day: str, number: int) -> Path:
        return self.folder / f"{self.category}-{day}{f'.{number}' * (number > 1)}.jsonl"


def number_of(path: Path) -> int:
    """Which of its day's files it is, from 1."""
    ending = path.name.removesuffix(".jsonl").rpartition(".")[2]
    return int(ending) if ending.isdigit() else 1


def keys_in_end(path: Path) -> set[str]:
    """The keys of a file's last lines; an incomplete one, left by a kill, is cut off."""
    if not path.exists():
        return set()
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().split(b"\n")
        file.truncate(size - len(lines.pop()))
    found: set[str] = set()
    for line in lines:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            message: dict[str, Any] = json.loads(line)
            found.add(str(message["idempotency_key"]))
    return found
