"""Production over time: the scores of `fastflow score`, `serve` and `watch`, in production/<category>.db.

One SQLite file a category, written by any number of processes, bounded in rows, days and pictures. It is a record, and
never a reason not to score: where it cannot be written, one line says so.
"""

import io
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.files import printable
from fastflow.frame import Framed
from pipelines.core.params import PARAMS_FILE
from pipelines.core.paths import PRODUCTION
from pipelines.core.sections import CATEGORY_NAME
from pipelines.core.stage import log
from pipelines.data.appearance import Appearance, Photograph
from pipelines.scoring.oddness import LOOKS, Usual, oddness, usual_look
from pipelines.scoring.rows import Row

MAX_ROWS, MAX_DAYS = 200_000, 400  # of a category, about 40 MB; older ones are deleted
PICTURES, PICTURE_DAYS = 100, 30  # so many of the worst, and of the oddest, of so many days have a picture, 1 MB in all
TRIM_EVERY = 500  # rows of a process between two deletions
MAX_SIDE_PIXELS = 128  # of a picture
WAIT_SECONDS = 5.0  # for another process's writing
RETRY_SECONDS = 30  # after a failure: scoring does not wait for a lock each time
RECENT = 5_000  # rows that the usual look is taken from

TABLES = """
CREATE TABLE IF NOT EXISTS scores (
  id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, source TEXT NOT NULL, name TEXT, sha256 TEXT NOT NULL,
  pred_score REAL NOT NULL, pred_label INTEGER NOT NULL, threshold REAL NOT NULL, model TEXT NOT NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL,
  brightness REAL NOT NULL, contrast REAL NOT NULL, sharpness REAL NOT NULL,
  UNIQUE (name, sha256, model));
CREATE INDEX IF NOT EXISTS scores_time ON scores (time);
CREATE TABLE IF NOT EXISTS pictures (id INTEGER PRIMARY KEY, webp BLOB NOT NULL);
"""
INSERT = "INSERT OR IGNORE INTO scores VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WORST = "SELECT max(id) FROM scores WHERE time > ? GROUP BY sha256 ORDER BY max(pred_score - threshold) DESC LIMIT ?"
BAR = "SELECT pred_score - threshold FROM scores WHERE time > ? ORDER BY 1 DESC LIMIT 1 OFFSET ?"


class Scored(NamedTuple):
    """One photograph's verdict. `name`: its path, None where it came over HTTP; `pixels` (H, W, 3), as the model saw
    it, without padding."""

    name: str | None
    sha256: str
    pred_score: float
    pred_label: int
    threshold: float
    model: str
    looks: Appearance
    pixels: NDArray[np.uint8]


def as_scored(rows: Sequence[Row], photographs: Mapping[str, Photograph]) -> list[Scored]:
    """Rows of a score file, with the photographs they are of, by path."""
    return [
        Scored(
            row.path, row.sha256, row.pred_score, row.pred_label, row.threshold, row.model,
            photographs[row.path].appearance, picture_of(photographs[row.path].framed),
        )
        for row in rows
    ]  # fmt: skip


def picture_of(framed: Framed) -> NDArray[np.uint8]:
    """(H, W, 3), without padding."""
    height, width = framed.size
    return framed.pixels[:height, :width]


def file_of(category: str) -> Path:
    return PRODUCTION / f"{category}.db"


def is_recorded(asked: bool | None) -> bool:
    """Whether scores are kept: as asked, else in a project's folder."""
    return PARAMS_FILE.is_file() if asked is None else asked


class Production:
    """The writing side, of one thread of a process. `source`: score, serve or line.

    The same file, scored again by the same model, is no second row; the same photograph over HTTP is.
    """

    def __init__(self, category: str, source: str) -> None:
        self.path, self.source = file_of(category), source
        self._known = re.fullmatch(CATEGORY_NAME, category) is not None  # it becomes a file's name
        self._base: sqlite3.Connection | None = None
        self._usual: Usual | None = None
        self._since_trim, self._bar, self._warned, self._not_before = 0, -np.inf, False, 0.0

    def add(self, scored: Sequence[Scored]) -> None:
        """Keeps these, all or, where that fails, none; never raises for a disk or a data base."""
        if not self._known or not scored or time.monotonic() < self._not_before:
            return
        try:
            self._write(scored)
        except (sqlite3.Error, OSError) as error:
            if not self._warned:
                log.warning("%s: not all scores are kept there (%s); scoring goes on", self.path, error)
            self._warned, self._not_before = True, time.monotonic() + RETRY_SECONDS
            self.close()

    def close(self) -> None:
        if self._base is not None:
            with suppress(sqlite3.Error):
                self._base.close()
            self._base = None

    def _write(self, scored: Sequence[Scored]) -> None:
        if self._base is None:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            self._base = sqlite3.connect(self.path, timeout=WAIT_SECONDS)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(TABLES)
            self._since_trim = TRIM_EVERY  # what other processes have written is looked at first
        with self._base as base:
            base.execute("BEGIN IMMEDIATE")
            if self._since_trim >= TRIM_EVERY:
                self._usual, self._bar = trim(base)
                self._since_trim = 0
            now = time.time()
            for one in scored:
                name = printable(one.name) if one.name is not None else None
                about = (one.sha256, one.pred_score, one.pred_label, one.threshold, one.model, *one.looks)
                made = base.execute(INSERT, (now, self.source, name, *about))
                if made.rowcount and self._is_worth_a_picture(one):
                    base.execute("INSERT INTO pictures VALUES (?, ?)", (made.lastrowid, small(one.pixels)))
            self._since_trim += len(scored)

    def _is_worth_a_picture(self, one: Scored) -> bool:
        """Whether it may be among the worst or the oddest: most are not, and cost no encoding."""
        if self._usual is None or one.pred_label or one.pred_score - one.threshold >= self._bar:
            return True
        return bool(oddness([one.looks[2:]], self._usual)[0] >= 3)


def trim(base: sqlite3.Connection) -> tuple[Usual | None, float]:
    """Deletes what is beyond the bounds. Returns the usual look, and how far a score lies above its threshold where it
    is as bad as the worst that have pictures."""
    now = time.time()
    base.execute("DELETE FROM scores WHERE time < ?", (now - 86400 * MAX_DAYS,))
    base.execute("DELETE FROM scores WHERE id <= (SELECT max(id) FROM scores) - ?", (MAX_ROWS,))
    columns = ", ".join(LOOKS)
    accepted = base.execute(
        f"SELECT {columns} FROM scores WHERE NOT pred_label ORDER BY id DESC LIMIT ?", (RECENT,)
    ).fetchall()
    usual, since = usual_look(accepted), now - 86400 * PICTURE_DAYS
    worst = {row for (row,) in base.execute(WORST, (since, PICTURES))}
    shown = base.execute(
        f"SELECT max(id), {columns} FROM scores JOIN pictures USING (id) WHERE time > ? GROUP BY sha256", (since,)
    ).fetchall()
    order = np.argsort(-oddness([row[1:] for row in shown], usual), kind="stable")[:PICTURES]
    kept = worst | {shown[i][0] for i in order}
    base.execute("CREATE TEMP TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY)")
    base.execute("DELETE FROM kept")
    base.executemany("INSERT INTO kept VALUES (?)", [(row,) for row in kept])
    base.execute("DELETE FROM pictures WHERE id NOT IN (SELECT id FROM kept)")
    bar = base.execute(BAR, (since, PICTURES)).fetchone()
    return usual, float(bar[0]) if bar else -np.inf


def small(pixels: NDArray[np.uint8]) -> bytes:
    """A picture of at most `MAX_SIDE_PIXELS`, as WebP."""
    picture, file = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    picture.save(file, "WEBP", quality=70, method=0)
    return file.getvalue()
