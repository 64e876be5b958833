"""What is reviewed, and what was said of it: review/<category>/review.sqlite, and the pictures beside it.

Decisions are only ever added: a trigger refuses anything else. One that is undone stays, with an entry that says so.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipelines.core.base import WAIT_SECONDS, opened_base
from pipelines.core.paths import REVIEW

TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
  sha256 TEXT PRIMARY KEY, time REAL NOT NULL, period TEXT NOT NULL, turn REAL NOT NULL, path TEXT NOT NULL,
  suffix TEXT NOT NULL, bytes INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, model TEXT NOT NULL,
  pred_score REAL NOT NULL, threshold REAL NOT NULL, pred_label INTEGER NOT NULL, reading TEXT NOT NULL,
  regions TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pictures_turn ON pictures (period, turn);
CREATE TABLE IF NOT EXISTS members (
  kind TEXT NOT NULL, sha256 TEXT NOT NULL, period TEXT NOT NULL, key REAL NOT NULL,
  PRIMARY KEY (kind, sha256)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_of ON members (sha256);
CREATE INDEX IF NOT EXISTS members_key ON members (period, kind, key);
CREATE TABLE IF NOT EXISTS claims (
  sha256 TEXT PRIMARY KEY, inspector TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS applied (sha256 TEXT PRIMARY KEY, time TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, inspector TEXT NOT NULL, sha256 TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('good', 'defect', 'skip', 'undo')), kind TEXT NOT NULL DEFAULT '',
  undoes INTEGER UNIQUE REFERENCES decisions (id),
  model TEXT NOT NULL, pred_score REAL NOT NULL, threshold REAL NOT NULL, pred_label INTEGER NOT NULL,
  CHECK ((action = 'defect') = (kind <> '')), CHECK ((action = 'undo') = (undoes IS NOT NULL)));
CREATE INDEX IF NOT EXISTS decisions_of ON decisions (sha256, inspector);
CREATE TRIGGER IF NOT EXISTS decisions_stay BEFORE DELETE ON decisions
  BEGIN SELECT raise(ABORT, 'decisions are only added'); END;
CREATE TRIGGER IF NOT EXISTS decisions_are_kept BEFORE UPDATE ON decisions
  BEGIN SELECT raise(ABORT, 'decisions are only added'); END;
CREATE VIEW IF NOT EXISTS standing AS SELECT * FROM decisions WHERE id IN (
  SELECT max(id) FROM decisions
  WHERE action <> 'undo' AND id NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL)
  GROUP BY sha256, inspector);
CREATE VIEW IF NOT EXISTS opinions AS SELECT
  sha256, count(*) AS count, sum(action = 'good') AS good, sum(action = 'defect') AS defect,
  count(DISTINCT CASE WHEN action = 'defect' THEN kind END) AS kinds, max(kind) AS kind
  FROM standing WHERE action <> 'skip' GROUP BY sha256;
"""
CURE = "move it and the pictures beside it away, or restore it from a copy; without one, its decisions are lost"
AGREED = "NOT (good AND defect) AND kinds <= 1"  # of opinions


def folder_of(category: str) -> Path:
    return REVIEW / category


def picture_file(category: str, sha256: str, suffix: str) -> Path:
    """A copy of the picture, byte for byte."""
    return folder_of(category) / "pictures" / f"{sha256}{suffix}"


def heat_file(category: str, sha256: str) -> Path:
    """Its heat map: a PNG with transparency, of the picture's shape."""
    return folder_of(category) / "pictures" / f"{sha256}.heat.png"


@contextmanager
def opened(category: str, *, sure: bool = False, wait: float = WAIT_SECONDS) -> Iterator[sqlite3.Connection]:
    """A connection, of this thread alone; raises as `pipelines.core.base.opened_base`."""
    with opened_base(folder_of(category) / "review.sqlite", TABLES, cure=CURE, sure=sure, wait=wait) as base:
        base.row_factory = sqlite3.Row
        yield base


def utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
