"""The record of production: bounded, and never a reason not to score."""

import hashlib
import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from fastflow.frame import Framed
from pipelines.data.appearance import Appearance, levels_of
from pipelines.scoring import production
from pipelines.scoring.production import Production, Scored
from pipelines.serving import batching
from pipelines.serving.recorder import Recorder
from tests.conftest import ROOT, draw_square, fastflow, until
from tests.scoring.test_score import plates

pytestmark = pytest.mark.usefixtures("folder")
__all__ = ["plates"]
BLACK = np.zeros((64, 64, 3), np.uint8)


def scored(number: int, *, score: float = 0.2, black: bool = False, name: str | None = None) -> Scored:
    pixels = BLACK if black else draw_square(seed=number, defect=False)[0]
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    looks = Appearance(64, 64, *levels_of(pixels))
    return Scored(name, digest, score, int(score > 0.5), 0.5, "fastflow-plates/1", looks, pixels)


def rows(query: str = "SELECT count(*) FROM scores", category: str = "plates") -> list[Any]:
    with closing(sqlite3.connect(f"production/{category}.db")) as base:
        return base.execute(query).fetchall()


@pytest.mark.slow
def test_what_is_scored_in_a_project_is_kept_once(plates: Path) -> None:
    images = str(plates / "test")
    assert fastflow("score", images, "--model", "plates", "--to", "a.csv") == 0
    assert not Path("production").exists()  # no project
    assert fastflow("score", images, "--model", "plates", "--to", "b.csv", "--record") == 0
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert fastflow("score", images, "--model", "plates", "--to", "c.csv") == 0
    assert fastflow("score", images, "--model", "plates", "--to", "d.csv", "--no-record") == 0
    written = [line.split(",") for line in Path("a.csv").read_text().splitlines()[1:]]
    kept = rows("SELECT name, pred_score, pred_label, threshold, model, sha256, brightness FROM scores ORDER BY id")
    expected = [(c[0], float(c[1]), int(c[2]), float(c[3]), c[4], c[11], float(c[8])) for c in written]
    assert kept == expected
    assert rows("SELECT source, count(*) FROM scores") == [("score", 8)]


def test_rows_and_pictures_are_bounded_and_the_worst_and_the_oddest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MAX_ROWS", 120), ("TRIM_EVERY", 10), ("PICTURES", 5)):
        monkeypatch.setattr(production, name, value)
    written = Production("plates", "serve")
    for start in range(0, 300, 10):
        batch = [scored(number, score=0.3 + number / 1e4) for number in range(start, start + 10)]
        if start == 200:
            batch[3], batch[4] = scored(0, score=0.4, black=True), scored(999, score=0.95)
        written.add(batch)
    written.close()
    assert 120 <= rows()[0][0] <= 130
    assert 7 <= rows("SELECT count(*) FROM pictures")[0][0] <= 20
    seen = {score for (score,) in rows("SELECT pred_score FROM scores JOIN pictures USING (id)")}
    assert {0.4, 0.95} <= seen
    monkeypatch.setattr(production, "MAX_DAYS", -1)
    Production("plates", "serve").add([scored(1)])
    assert rows() == [(1,)]


def test_a_file_is_kept_once_a_model_and_each_photograph_that_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    written = Production("plates", "score")
    for _ in range(2):
        written.add([scored(1, name="a.png"), scored(1)])
    nan = scored(2)._replace(pred_score=float("nan"))
    written.add([scored(1, name="a.png")._replace(model="fastflow-plates/2"), nan])
    assert rows("SELECT name, count(*) FROM scores GROUP BY name ORDER BY 1") == [(None, 2), ("a.png", 2)]
    Production("../plates", "score").add([scored(3)])
    Production("", "score").add([scored(3)])
    assert [path.name for path in Path().rglob("*.db")] == ["plates.db"]
    assert not caplog.records


def test_a_full_disk_costs_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The kernel refuses to make a file any larger, as a full disk does."""
    Production("plates", "serve").add([scored(1)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = Production("plates", "score")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, limits[1]))
        for number in range(60):
            written.add([scored(number, name=str(number), score=0.9)])
            written._not_before = 0  # as after half a minute
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("production/plates.db: not all scores are kept there (")
    kept = rows()[0][0]
    assert 1 < kept < 60
    written._not_before = 0
    written.add([scored(100)])
    assert rows() == [(kept + 1,)]


@pytest.mark.slow
@pytest.mark.parametrize("obstacle", ["no folder", "no data base", "locked"])
def test_what_cannot_be_recorded_is_scored(
    obstacle: str, plates: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(production, "WAIT_SECONDS", 0.05)
    logging.getLogger().handlers.clear()  # as in a new process
    with closing(sqlite3.connect(":memory:")) as other:
        if obstacle == "no folder":
            Path("production").write_text("a file")
        elif obstacle == "no data base":
            Path("production").mkdir()
            Path("production/plates.db").write_text("no data base at all, but some text of a person" * 9)
        else:
            Production("plates", "serve").add([scored(1)])
            other = sqlite3.connect("production/plates.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
        words = ("--model", "plates", "--to", "a.csv", "--record", "--batch-size", "2")
        assert fastflow("score", str(plates / "test"), *words) == 0
    assert len(Path("a.csv").read_text().splitlines()) == 9
    assert capfd.readouterr().err.count("not all scores are kept there") == 1


def test_the_server_records_by_a_thread_of_its_own() -> None:
    recorder = Recorder()
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:40, :30] = draw_square(seed=1, defect=False)[0][:40, :30]
    model: Any = SimpleNamespace(category="plates", version="fastflow-plates/1", threshold={"image": 0.5})
    found = batching.Scored(0.75, 1, np.zeros((1, 1), np.float32), 1.0, 1)
    for _ in range(3):
        recorder.add(Framed(pixels, (40, 30), (800, 600)), "0" * 64, found, model)
    recorder.end()
    assert rows("SELECT source, name, pred_score, pred_label, threshold, width, height, count(*) FROM scores") == [
        ("serve", None, 0.75, 1, 0.5, 600, 800, 3)
    ]
    (brightness,) = {value for (value,) in rows("SELECT brightness FROM scores")}
    assert brightness == pytest.approx(110, abs=3)  # without the padding, which is black


def test_verdicts_that_come_too_fast_are_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free = threading.Event()
    monkeypatch.setattr(Recorder, "_write", lambda *_: free.wait(20))
    recorder = Recorder()
    for _ in range(300):
        recorder.add(cast(Framed, None), "", cast(batching.Scored, None), cast(Any, None))
    assert len(caplog.records) == 1
    free.set()
    recorder.end()


WRITER = """
    import sys
    import numpy as np
    from pipelines.data.appearance import Appearance
    from pipelines.scoring.production import Production, Scored
    written, pixels = Production("plates", "serve"), np.zeros((64, 64, 3), np.uint8)
    for number in range(10**6 if sys.argv[1] == "forever" else 40):
        one = Scored(None, str(number), 0.6, 1, 0.5, "fastflow-plates/1", Appearance(64, 64, 0, 0, 0), pixels)
        written.add([one] * 5)
"""


@pytest.mark.slow
def test_two_writers_and_a_kill_in_the_middle() -> None:
    def start(how: str) -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", textwrap.dedent(WRITER), how]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(words, env=environment, text=True, stderr=subprocess.PIPE)

    both = [start("some"), start("some")]
    for process in both:
        assert process.communicate(timeout=120)[1] == ""
    assert rows() == [(400,)]
    for round_ in range(3):
        killed, before = start("forever"), rows()[0][0]
        until(lambda before=before: rows()[0][0] > before + 20, killed)  # type: ignore[misc]
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
        Production("plates", "score").add([scored(round_, name=str(round_))])
        assert (rows()[0][0] - round_ - 1) % 5 == 0  # whole batches
    assert rows("PRAGMA integrity_check") == [("ok",)]
