"""What a line has done and what waits, read from its state beside the watcher: fastflow watch NAME --status."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from pipelines.core.names import counted
from pipelines.line.state import opened, state_file

SHOWN = 5
COUNTS = "SELECT output, sum(refused IS NULL), sum(refused IS NOT NULL) FROM waiting GROUP BY output"
ERRORS, REJECTED = "sum(json_extract(message, '$.error') IS NOT NULL)", "sum(json_extract(message, '$.pred_label'))"
TOTALS = f"SELECT count(*), {ERRORS}, {REJECTED} FROM pictures WHERE message IS NOT NULL"
LAST = """SELECT number, json_extract(message, '$.judged') FROM pictures WHERE message IS NOT NULL
  ORDER BY number DESC LIMIT 1"""
REFUSED = "SELECT number, refused FROM waiting WHERE output = ? AND refused IS NOT NULL ORDER BY number DESC LIMIT ?"


def require_state(category: str) -> Path:
    """The state's file. Raises ValueError: the category was never watched here."""
    path = state_file(category)
    if not path.is_file():
        raise ValueError(f"{category} was never watched in this folder: there is no {path}")
    return path


def waiting(base: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Of each output that has any: how many verdicts wait, and how many were refused."""
    return {output: (waits, refused) for output, waits, refused in base.execute(COUNTS)}


def show(category: str) -> None:
    """Prints it. Raises ValueError: the category was never watched."""
    with opened(require_state(category)) as base:
        total, errors, rejected = base.execute(TOTALS).fetchone()
        print(f"{category}: {counted(total, 'picture')}, {rejected or 0} rejected, {errors or 0} without a verdict")
        if last := base.execute(LAST).fetchone():
            print(f"the last: number {last[0]}, judged {last[1]}")
        failing = {output: (reason, since) for output, reason, since in base.execute("SELECT * FROM failing")}
        counts = waiting(base)
        for output in sorted(counts.keys() | failing.keys()):
            waits, refused = counts.get(output, (0, 0))
            print(f"{output}: {waits} to send, {refused} refused")
            if output in failing:
                reason, since = failing[output]
                print(f"  fails since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC: {reason}")
            for number, why in base.execute(REFUSED, (output, SHOWN)):
                print(f"  number {number}: {why}")


def resend(category: str) -> None:
    """Refused verdicts wait again, as the first ones. Raises ValueError: the category was never watched."""
    with opened(require_state(category)) as base, base:
        changed = base.execute("UPDATE waiting SET refused = NULL WHERE refused IS NOT NULL").rowcount
    print(f"{category}: {counted(changed, 'refused verdict')} will be sent again")
