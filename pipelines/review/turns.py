"""Whose turn a picture is: each inspector is handed another one, for a bounded time.

The pictures of a week come in an order of chance, rejects among passes: who expects rejects finds defects.
"""

import json
import sqlite3
from pathlib import PurePath
from typing import Any, Literal

from pipelines.review.decisions import Unknown, disagreements, said_of
from pipelines.review.rule import KINDS

CLAIM_SECONDS = 300.0
LATE_SECONDS = 60.0  # a claim that ends later than this allows was made before the clock was set back
Queue = Literal["new", "second"]
"""Pictures that nobody has decided on; those on which one other inspector has, whose decision is not shown."""
FREE = """NOT EXISTS (SELECT 1 FROM claims WHERE sha256 = pictures.sha256 AND inspector <> :inspector
  AND until > :now AND until <= :now + :longest)
  AND NOT EXISTS (SELECT 1 FROM standing WHERE sha256 = pictures.sha256 AND inspector = :inspector)"""
OF_QUEUE = {
    "new": "NOT EXISTS (SELECT 1 FROM opinions WHERE sha256 = pictures.sha256)",
    "second": "EXISTS (SELECT 1 FROM opinions WHERE sha256 = pictures.sha256 AND count = 1)",
}
OF_KIND = "EXISTS (SELECT 1 FROM members WHERE sha256 = pictures.sha256 AND kind = :kind)"
MINE = "EXISTS (SELECT 1 FROM claims WHERE sha256 = pictures.sha256 AND inspector = :inspector)"
NEXT = "SELECT sha256 FROM pictures WHERE {where} ORDER BY {mine} DESC, period DESC, turn LIMIT 1"


def hand_out(
    base: sqlite3.Connection, inspector: str, now: float, *, queue: Queue = "new", kind: str = "", sha256: str = ""
) -> dict[str, Any] | None:
    """The next picture for this inspector, held for `CLAIM_SECONDS`; None: there is none. `kind`: of those alone.
    `sha256`: this one, whoever has it, with what was said of it where inspectors disagree.

    Raises:
        Unknown: `sha256` is not kept.
    """
    assert kind in ("", *KINDS), kind
    values = {"inspector": inspector, "now": now, "longest": CLAIM_SECONDS + LATE_SECONDS, "kind": kind}
    with base:
        base.execute("BEGIN IMMEDIATE")
        if not sha256:
            where = " AND ".join([FREE, OF_QUEUE[queue], *([OF_KIND] if kind else [])])
            found = base.execute(NEXT.format(where=where, mine=MINE), values).fetchone()
            if found is None:
                return None
            sha256 = found["sha256"]
        row = base.execute("SELECT * FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise Unknown("this picture is no longer kept; go on with the next one")
        base.execute("DELETE FROM claims WHERE inspector = ? OR until <= ?", (inspector, now))
        base.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (sha256, inspector, now + CLAIM_SECONDS))
    return as_item(base, row)


def as_item(base: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """What the page shows of a picture."""
    sha256 = row["sha256"]
    kinds = base.execute("SELECT kind FROM members WHERE sha256 = ? ORDER BY kind", (sha256,)).fetchall()
    kept = ("sha256", "time", "path", "width", "height", "model", "pred_score", "threshold", "pred_label")
    return {name: row[name] for name in kept} | {
        "name": PurePath(row["path"]).name,
        "kinds": [one["kind"] for one in kinds],
        "regions": [{"polygon": one["polygon"], "area": one["area"]} for one in json.loads(row["regions"])],
        "said": said_of(base, sha256) if sha256 in disagreements(base) else [],
    }
