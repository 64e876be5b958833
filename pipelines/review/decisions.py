"""What inspectors said: added, undone by a further entry, and put together to what a picture is."""

import re
import sqlite3
import unicodedata
from typing import NamedTuple

from fastflow.index import GOOD_NAMES
from fastflow.metrics.rates import upper_limit
from pipelines.review.rule import CONFIDENCE, KINDS, PASS
from pipelines.review.store import AGREED, utc

GOOD, DEFECT, SKIP = "good", "defect", "skip"
MAX_CHARACTERS = 40  # of an inspector's name, and of a kind of defect
SHOWN = 50  # disagreements
KIND = re.compile(r"\w[\w .-]*")
ADD = "INSERT INTO decisions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
OF_A_KIND = """SELECT members.kind, count(*) AS total, count(opinions.sha256) AS done
  FROM members LEFT JOIN opinions USING (sha256) GROUP BY members.kind"""
LAST = "SELECT * FROM standing WHERE inspector = ? ORDER BY id DESC LIMIT 1"
SAID = "SELECT inspector, action, kind, time FROM standing WHERE sha256 = ? AND action <> 'skip' ORDER BY id"
WEEKS = "SELECT DISTINCT period FROM members WHERE kind = ? ORDER BY period DESC LIMIT 4"
PASSES = f"""SELECT count(*) AS reviewed, coalesce(sum(defect > 0), 0) AS defective FROM opinions
  WHERE {AGREED} AND sha256 IN (SELECT sha256 FROM members WHERE kind = '{PASS}' AND period = ?)"""


class Unknown(ValueError):
    """The picture is not kept, or no longer."""


class Limit(NamedTuple):
    """Of a week's sample of passes: how many were reviewed, how many of these are defective, and the share of all its
    passes that may be, with 95 % confidence."""

    period: str
    reviewed: int
    defective: int
    at_most: float


def inspector_of(name: str) -> str:
    """A name as it is kept. Raises ValueError where it cannot be one."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(name) <= MAX_CHARACTERS or not name.isprintable():
        raise ValueError(f"the name {name[:60]!r} cannot be an inspector's; allowed: 1 to {MAX_CHARACTERS} characters")
    return name


def kind_of(name: str, known: list[str]) -> str:
    """A kind of defect as it is kept: a known one that differs in case alone stays as it is written.

    Raises:
        ValueError: it cannot become a folder's name, or means good.
    """
    if name in known:
        return name
    name = re.sub(r"\s+", "_", unicodedata.normalize("NFC", name).strip())
    if not KIND.fullmatch(name) or len(name) > MAX_CHARACTERS or name.casefold() in GOOD_NAMES or name.endswith("."):
        raise ValueError(
            f"{name[:60]!r} cannot be a kind of defect; allowed: letters, digits, blanks, _ . and - after the first, "
            f"{MAX_CHARACTERS} at most, and not {', '.join(GOOD_NAMES)}"
        )
    return next((one for one in known if one.casefold() == name.casefold()), name)


def decide(base: sqlite3.Connection, sha256: str, inspector: str, action: str, kind: str, now: float) -> None:
    """Adds a decision, and gives the picture back. Raises Unknown."""
    assert action in (GOOD, DEFECT, SKIP), action
    with base:
        base.execute("BEGIN IMMEDIATE")
        about = base.execute(
            "SELECT model, pred_score, threshold, pred_label FROM pictures WHERE sha256 = ?", (sha256,)
        ).fetchone()
        if about is None:
            raise Unknown("this picture is no longer kept; go on with the next one")
        base.execute(ADD, (utc(now), inspector, sha256, action, kind if action == DEFECT else "", None, *about))
        base.execute("DELETE FROM claims WHERE sha256 = ? AND inspector = ?", (sha256, inspector))


def undo(base: sqlite3.Connection, inspector: str, now: float) -> str | None:
    """Adds that the last decision of this inspector that still stands does not; its picture, None: there is none."""
    with base:
        base.execute("BEGIN IMMEDIATE")
        last = base.execute(LAST, (inspector,)).fetchone()
        if last is None:
            return None
        about = [last[name] for name in ("model", "pred_score", "threshold", "pred_label")]
        base.execute(ADD, (utc(now), inspector, last["sha256"], "undo", "", last["id"], *about))
        return str(last["sha256"])


def said_of(base: sqlite3.Connection, sha256: str) -> list[dict[str, str]]:
    """Who said what of a picture, and when; what stands, without what was skipped."""
    return [dict(row) for row in base.execute(SAID, (sha256,))]


def disagreements(base: sqlite3.Connection) -> list[str]:
    """Pictures of which two inspectors say different things, the latest first."""
    found = base.execute(
        f"SELECT sha256 FROM opinions WHERE NOT ({AGREED}) ORDER BY "
        "(SELECT max(id) FROM decisions WHERE sha256 = opinions.sha256) DESC"
    )
    return [row["sha256"] for row in found]


def counts(base: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Of each kind of picture: how many there are, and how many somebody has decided on."""
    found = {row["kind"]: {"total": row["total"], "done": row["done"]} for row in base.execute(OF_A_KIND)}
    return {kind: found.get(kind, {"total": 0, "done": 0}) for kind in KINDS}


def limits(base: sqlite3.Connection) -> list[Limit]:
    """Of the last weeks that have a sample, the latest first. What inspectors disagree on does not count yet."""
    weeks = base.execute(WEEKS, (PASS,)).fetchall()
    found = []
    for (period,) in weeks:
        reviewed, defective = base.execute(PASSES, (period,)).fetchone()
        found.append(Limit(period, reviewed, defective, upper_limit(defective, reviewed, confidence=CONFIDENCE)))
    return found
