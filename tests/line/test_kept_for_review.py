"""What a watcher keeps for a review: the picture as it came, with the map and the regions of its verdict."""

import hashlib
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pipelines.line.settings import Review, read_line
from pipelines.line.watcher import Watcher
from pipelines.review.rule import Rule
from pipelines.review.store import folder_of, heat_file, opened, picture_file
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
