"""What a watcher keeps for a review: the picture as it came, with the map and the regions of its verdict."""

import hashlib
import io
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.files import file_sha256
from pipelines.line import watch as command
from pipelines.line.settings import Review, read_line
from pipelines.line.watch import Options
from pipelines.line.watcher import Watcher
from pipelines.review.keep import Keeper
from pipelines.review.rule import Rule
from pipelines.review.store import folder_of, heat_file, opened, picture_file
from tests.conftest import ROOT, until
from tests.line.kit import lines, png, watching, write_model
from tests.line.test_settings import written
from tests.line.watch_kit import FOLDER, messages, picture
from tests.serving.test_batching import SIZE


def test_rejects_and_passes_are_kept_after_the_camera_has_overwritten_them(start: Callable[[], Watcher]) -> None:
    watcher = start()
    content = {name: picture(name, value).read_bytes() for name, value in (("good.png", 2), ("bad.png", 250))}
    verdicts = messages(watcher, 2)
    picture("bad.png", 3)
    messages(watcher, 3)
    watcher.judge.end()
    (reject,) = [one for one in verdicts if one["pred_label"] == 1]
    bad = hashlib.sha256(content["bad.png"]).hexdigest()
    assert reject["sha256"] == bad
    with opened("plates") as base:
        rows = {row["sha256"]: row for row in base.execute("SELECT * FROM pictures")}
        kinds = {tuple(row) for row in base.execute("SELECT kind, sha256 FROM members")}
    assert len(rows) == 3
    assert ("reject", bad) in kinds
    assert {kind for kind, sha256 in kinds if sha256 != bad} == {"borderline", "pass"}
    assert picture_file("plates", bad, ".png").read_bytes() == content["bad.png"]
    row = rows[bad]
    assert (row["path"], row["pred_score"], row["model"]) == (reject["path"], reject["pred_score"], reject["model"])
    assert (row["height"], row["width"]) == (SIZE, SIZE)
    assert len(json.loads(row["regions"])) == reject["regions"] > 0
    heat = np.asarray(Image.open(io.BytesIO(heat_file("plates", bad).read_bytes())))
    assert heat.shape == (SIZE, SIZE, 4)
    assert heat[5, 0, 3] > 0  # anomalous
    assert heat[2, 0, 3] == 0


def test_a_store_that_fails_costs_no_verdict(start: Callable[[], Watcher]) -> None:
    folder_of("plates").parent.mkdir()
    folder_of("plates").write_text("a file in its place")
    watcher = start()
    picture("a.png", 250)
    (verdict,) = messages(watcher, 1)
    assert (verdict["pred_label"], verdict["error"]) == (1, None)
    assert list(FOLDER.iterdir()) == [FOLDER / "a.png"]


@pytest.mark.slow
def test_kills_lose_no_reject(folder: Path) -> None:
    """The real program, killed while it judges: what was rejected, by its messages, is what a review shows."""
    (folder / "in").mkdir()
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_model(folder / "model")
    for number in range(256):
        (folder / f"in/{number:03}.png").write_bytes(png(number))
    for kill in range(3):
        before = len(lines(folder)) if kill else 0
        with watching(folder, "--settle", "0.1") as line:
            until(partial(more_than, folder, before), line.process)
            line.end(signal.SIGKILL)
    with watching(folder, "--settle", "0.1") as line:
        until(lambda: len(lines(folder)) == 256, line.process)
        line.end(signal.SIGTERM)
    rejected = {one["sha256"] for one in lines(folder) if one["pred_label"]}
    assert len(rejected) == 128
    with opened("plates") as base:
        kept = {row["sha256"]: row["suffix"] for row in base.execute("SELECT * FROM pictures WHERE pred_label = 1")}
        passes = base.execute("SELECT count(*) FROM members WHERE kind = 'pass'").fetchone()[0]
    assert kept.keys() == rejected
    assert passes == 128
    for sha256, suffix in kept.items():
        assert file_sha256(picture_file("plates", sha256, suffix)) == sha256
    assert not list((folder_of("plates") / "pictures").glob(".*"))


def more_than(folder: Path, count: int) -> bool:
    return len(lines(folder)) > count


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "record", "kept"),
    [("", True, True), ("", False, False), ("", None, False), ("review: null", True, False)],
)
def test_what_is_recorded_is_kept(
    text: str, record: bool | None, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:  # without a project, by default nothing
    """As scores in production/: in a project, or where it is asked for."""

    def judge(category: str, options: Options, state: object, stack: object, keeper: Keeper | None) -> None:
        assert (keeper is not None) == kept
        raise ValueError("seen")

    written(text)
    FOLDER.mkdir()
    monkeypatch.setattr(command, "open_judge", judge)
    with pytest.raises(ValueError, match="seen"):
        command.watch("plates", FOLDER, Options(record=record))


@pytest.mark.usefixtures("folder")
def test_the_rule_of_line_yaml() -> None:
    assert read_line().review == Review()
    assert Review().rule == Rule() == Rule(miss_rate=0.01, rejects=1000, borderline=100, weeks=4, gigabytes=5.0)
    assert read_line(written("review: null")).review is None
    found = read_line(written("review: {miss_rate: 0.05, rejects: 10, borderline: 0, weeks: 1, gigabytes: 0.5}")).review
    assert found
    assert found.rule == Rule(0.05, 10, 0, 1, 0.5)
    for text in ("miss_rate: 0", "miss_rate: 1", "weeks: 0", "gigabytes: 0", "rejects: -1"):
        with pytest.raises(ValueError, match=r"line\.yaml: review\."):
            read_line(written(f"review: {{{text}}}"))
