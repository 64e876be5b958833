"""The queue of one output: what it has not sent, in order. Of the thread that sends."""

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any


class Spool:
    """An output's queue, of its thread."""

    def __init__(self, base: sqlite3.Connection, output: str) -> None:
        self.base, self.output = base, output

    def next(self, limit: int) -> list[dict[str, Any]]:
        """The messages that have waited longest, in order of their numbers."""
        rows = self.base.execute(
            "SELECT number, message FROM waiting JOIN pictures USING (number) WHERE output = ? AND refused IS NULL "
            "ORDER BY number LIMIT ?",
            (self.output, limit),
        )
        return [{"number": number} | json.loads(message) for number, message in rows]

    def done(self, messages: Sequence[dict[str, Any]]) -> None:
        """They have arrived."""
        with self.base as base:
            base.executemany(
                "DELETE FROM waiting WHERE output = ? AND number = ?", [(self.output, m["number"]) for m in messages]
            )
            base.execute("DELETE FROM failing WHERE output = ?", (self.output,))

    def park(self, message: dict[str, Any], reason: str) -> None:
        """The other side will not take this one; the next ones go on."""
        with self.base as base:
            base.execute(
                "UPDATE waiting SET refused = ? WHERE output = ? AND number = ?",
                (reason, self.output, message["number"]),
            )
            base.execute("DELETE FROM failing WHERE output = ?", (self.output,))

    def fails(self, reason: str) -> None:
        """Nothing arrives for now."""
        with self.base as base:
            base.execute(
                "INSERT INTO failing VALUES (?, ?, ?) ON CONFLICT (output) DO UPDATE SET reason = excluded.reason",
                (self.output, reason, time.time()),
            )
