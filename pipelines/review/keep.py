"""The watcher's side of a review: keeps pictures that a person should look at, with what the model saw in them.

A ring buffer overwrites pictures: what is reviewed is a copy. As in production/, a disk or data base that fails is no
reason not to judge: one line says so.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from fastflow.pixels.meaning import PixelRule
from fastflow.regions import Region
from pipelines.core.stage import log
from pipelines.review.rule import Place, Rule, ordinal, period_of, places
from pipelines.review.store import folder_of, heat_file, opened, picture_file

TRIM_EVERY = 500  # pictures between two looks for what is no longer needed
RETRY_SECONDS, WAIT_SECONDS = 30.0, 5.0
MAX_REGIONS, MAX_NUMBERS = 200, 40_000  # that are drawn, the largest first: noise has thousands
MEMBERS = "SELECT count(*) AS count, max(key) AS highest FROM members WHERE period = ? AND kind = ?"
WORST = "SELECT sha256 FROM members WHERE period = ? AND kind = ? ORDER BY key DESC, sha256 DESC LIMIT 1"
FREE = """SELECT sha256 FROM pictures WHERE NOT EXISTS (SELECT 1 FROM members WHERE sha256 = pictures.sha256)
  AND (sha256 IN (SELECT sha256 FROM applied) OR NOT EXISTS (SELECT 1 FROM decisions WHERE sha256 = pictures.sha256))
  AND NOT EXISTS (SELECT 1 FROM claims WHERE sha256 = pictures.sha256 AND until > ?)"""
OLD = """DELETE FROM members WHERE sha256 IN (SELECT sha256 FROM pictures WHERE time < ? AND (
  sha256 IN (SELECT sha256 FROM applied) OR sha256 NOT IN (SELECT sha256 FROM decisions)))"""


class Judged(NamedTuple):
    """A picture and its verdict. `heat` makes a PNG of its map; `reading`: how its file becomes pixels."""

    path: str
    suffix: str
    content: bytes
    sha256: str
    shape: tuple[int, int]
    model: str
    pred_score: float
    threshold: float
    pred_label: int
    reading: PixelRule
    regions: list[Region]
    heat: Callable[[], bytes]


class Keeper:
    """Of one thread of a process."""

    def __init__(self, category: str, rule: Rule) -> None:
        self.category, self.rule = category, rule
        self._base: sqlite3.Connection | None = None
        self._stack = ExitStack()
        self._since_trim, self._said, self._not_before = 0, "", 0.0
        self._makes_room = False  # whether a picture may have lost its place

    def wants(self, judged: Sequence[Judged]) -> None:
        """Keeps those of these that have a place in their week's draw; never raises."""
        if not judged or time.monotonic() < self._not_before:
            return
        try:
            self._take(judged)
        except Exception as error:  # of a disk, a data base, a map: whatever it is, the verdict is not its hostage
            self._say(f"{folder_of(self.category)}: not all pictures are kept for review ({error}); judging goes on")
            self._not_before = time.monotonic() + RETRY_SECONDS
            self.close()

    def close(self) -> None:
        self._base = None
        self._stack.close()

    def _say(self, what: str) -> None:
        if what != self._said:
            log.warning("%s", what)
        self._said = what

    def _take(self, judged: Sequence[Judged]) -> None:
        if self._base is None:
            self._base = self._stack.enter_context(opened(self.category, wait=WAIT_SECONDS))
            sweep(self._base, folder_of(self.category) / "pictures")
            self._since_trim = TRIM_EVERY
        now = time.time()
        with self._base as base:
            base.execute("BEGIN IMMEDIATE")
            if self._since_trim >= TRIM_EVERY:
                base.execute(OLD, (now - 7 * 86400 * self.rule.weeks,))
                self._since_trim, self._makes_room = 0, True
            self._since_trim += len(judged)
            for one in judged:
                self._place(base, one, now)
            gone = [row["sha256"] for row in base.execute(FREE, (now,))] if self._makes_room else []
            base.executemany("DELETE FROM pictures WHERE sha256 = ?", [(sha256,) for sha256 in gone])
        for sha256 in gone:
            for file in (folder_of(self.category) / "pictures").glob(f"{sha256}.*"):
                file.unlink(missing_ok=True)
        self._makes_room = False

    def _place(self, base: sqlite3.Connection, one: Judged, now: float) -> None:
        """Writes it where it has a place; a picture of the same content has one already, with its first verdict."""
        if base.execute("SELECT 1 FROM pictures WHERE sha256 = ?", (one.sha256,)).fetchone():
            return
        period = period_of(now)
        (used,) = base.execute("SELECT coalesce(sum(bytes), 0) FROM pictures").fetchone()
        if used + len(one.content) > self.rule.gigabytes * 1e9:
            self._say(
                f"{folder_of(self.category)} has its {self.rule.gigabytes:g} GB of pictures: no more are kept; review "
                "and apply them, or raise review.gigabytes in line.yaml"
            )
            return
        drawn = [place for place in self._places(one) if has_room(base, period, place)]
        if not drawn:
            return
        write(picture_file(self.category, one.sha256, one.suffix), one.content)
        heat = one.heat()
        write(heat_file(self.category, one.sha256), heat)
        size = len(one.content) + len(heat)
        base.execute(
            "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                one.sha256, now, period, ordinal(one.sha256), one.path, one.suffix, size, one.shape[1], one.shape[0],
                one.model, one.pred_score, one.threshold, one.pred_label, json.dumps(one.reading._asdict()),
                json.dumps([region._asdict() for region in shown(one.regions)]),
            ),
        )  # fmt: skip
        self._said, self._makes_room = "", True
        for place in drawn:
            base.execute("INSERT INTO members VALUES (?, ?, ?, ?)", (place.kind, one.sha256, period, place.key))

    def _places(self, one: Judged) -> list[Place]:
        return places(
            self.rule, sha256=one.sha256, pred_label=one.pred_label, pred_score=one.pred_score, threshold=one.threshold
        )


def has_room(base: sqlite3.Connection, period: str, place: Place) -> bool:
    """Whether it belongs to the draw so far; one too many then leaves it."""
    found = base.execute(MEMBERS, (period, place.kind)).fetchone()
    if found["count"] < place.most:
        return True
    if not place.most or place.key >= found["highest"]:
        return False
    (worst,) = base.execute(WORST, (period, place.kind)).fetchone()
    base.execute("DELETE FROM members WHERE kind = ? AND sha256 = ?", (place.kind, worst))
    return True


def shown(regions: Sequence[Region]) -> list[Region]:
    """The largest ones, as far as a page can draw them."""
    kept, numbers = [], 0
    for region in sorted(regions, key=lambda region: -region.area)[:MAX_REGIONS]:
        numbers += len(region.polygon)
        if numbers > MAX_NUMBERS:
            break
        kept.append(region)
    return kept


def sweep(base: sqlite3.Connection, folder: Path) -> None:
    """Makes the folder of pictures; removes files that a killed process or a full disk left without an entry."""
    folder.mkdir(mode=0o700, exist_ok=True)
    known = {row["sha256"] for row in base.execute("SELECT sha256 FROM pictures")}
    for file in folder.iterdir():
        if file.name.partition(".")[0] not in known:
            file.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """At once for a reader, but not for a loss of power: who reads it compares its hash."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
