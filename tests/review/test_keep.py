"""The watcher's side: which pictures are kept, what makes room, and that no fault of it is one of judging."""

import logging
import sqlite3
import time
from pathlib import Path

import pytest

from pipelines.review import keep as module
from pipelines.review.decisions import decide
from pipelines.review.keep import Keeper, shown
from pipelines.review.rule import BORDERLINE, PASS, REJECT, Rule, ordinal
from pipelines.review.store import folder_of, heat_file, opened, picture_file
from tests.review.kit import heat, judged, keep, plate, regions_of

pytestmark = pytest.mark.usefixtures("folder")
FEW = Rule(miss_rate=0.5, rejects=3, borderline=2)  # five passes by chance
DAY = 86400.0


def members(kind: str) -> set[str]:
    with opened("plates") as base:
        return {row["sha256"] for row in base.execute("SELECT sha256 FROM members WHERE kind = ?", (kind,))}


def files() -> set[str]:
    return {path.name.partition(".")[0] for path in (folder_of("plates") / "pictures").iterdir()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, to be set."""
    now = [1_800_000_000.0]
    monkeypatch.setattr("pipelines.review.keep.time.time", lambda: now[0])
    return now


def test_a_week_keeps_what_sorting_all_of_it_gives() -> None:
    pictures = [judged(n, score=0.3 + n / 200) for n in range(60)]  # 41 pass, 19 are rejected
    keeper = Keeper("plates", FEW)
    for start in range(0, 60, 7):
        keeper.wants(pictures[start : start + 7])
    keeper.wants(pictures[:20])  # again, as after a kill
    keeper.close()
    passes = [one for one in pictures if not one.pred_label]
    rejects = [one for one in pictures if one.pred_label]
    assert len(rejects) == 19
    by_chance = sorted((ordinal(one.sha256), one.sha256) for one in passes)[:5]
    assert members(PASS) == {sha256 for _, sha256 in by_chance}
    assert members(REJECT) == {sha256 for _, sha256 in sorted((ordinal(one.sha256), one.sha256) for one in rejects)[:3]}
    assert members(BORDERLINE) == {passes[-1].sha256, passes[-2].sha256}
    assert files() == members(PASS) | members(REJECT) | members(BORDERLINE)


def test_a_picture_is_kept_byte_for_byte_with_its_map_and_regions() -> None:
    path = "/mnt/camera/<img src=x onerror=alert(1)>/../x.png"
    (sha256,) = keep(judged(1, score=0.9, defect=True, path=path))
    assert picture_file("plates", sha256, ".png").read_bytes() == plate(1, defect=True)
    assert heat_file("plates", sha256).read_bytes() == heat()
    assert {one.parent for one in Path().rglob(f"{sha256}*")} == {folder_of("plates") / "pictures"}
    with opened("plates") as base:
        row = base.execute("SELECT * FROM pictures").fetchone()
    assert (row["path"], row["pred_score"], row["pred_label"]) == (path, 0.9, 1)
    assert '"area": 196' in row["regions"]  # 14 x 14


def test_what_was_decided_on_is_kept_while_undecided_pictures_make_room(clock: list[float]) -> None:
    old = keep(judged(1, score=0.9), judged(2, score=0.9))
    with opened("plates") as base:
        decide(base, old[0], "Ana", "good", "", clock[0])
    clock[0] += 29 * DAY
    new = keep(judged(3, score=0.9))
    assert files() == {old[0], new[0]}
    with opened("plates") as base, base:
        base.execute("INSERT INTO applied VALUES (?, '')", (old[0],))
    keep(judged(4, score=0.9))
    assert old[0] not in files()
    with opened("plates") as base:
        assert base.execute("SELECT count(*) FROM decisions").fetchone()[0] == 1


def test_each_week_has_its_own_draw(clock: list[float]) -> None:
    first = keep(*(judged(n, score=0.9) for n in range(5)), rule=FEW)
    clock[0] += 7 * DAY
    second = keep(*(judged(n, score=0.9) for n in range(5, 10)), rule=FEW)
    assert len(members(REJECT) & set(first)) == len(members(REJECT) & set(second)) == 3


def test_a_picture_that_somebody_looks_at_stays(clock: list[float]) -> None:
    rule = Rule(rejects=1)
    pictures = sorted((judged(n, score=0.9) for n in range(2)), key=lambda one: -ordinal(one.sha256))
    keep(pictures[0], rule=rule)
    with opened("plates") as base, base:
        base.execute("INSERT INTO claims VALUES (?, 'Ana', ?)", (pictures[0].sha256, clock[0] + 60))
    keep(pictures[1], rule=rule)
    assert files() == {one.sha256 for one in pictures}
    clock[0] += 61
    keep(judged(9, score=0.9), rule=Rule(rejects=0))
    assert files() == {pictures[1].sha256}


def test_the_room_is_bounded_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        one = keep(judged(1, score=0.9), rule=Rule(gigabytes=2e-5))
        keeper = Keeper("plates", Rule(gigabytes=2e-5))  # 20 kB
        for number in range(2, 9):
            keeper.wants([judged(number, score=0.9)])
        keeper.close()
    assert one[0] in files()
    assert sum(path.stat().st_size for path in (folder_of("plates") / "pictures").iterdir()) < 20_000 + 10_000
    assert len([said for said in caplog.messages if "no more are kept; review" in said]) == 1


def test_a_fault_of_the_store_is_said_once_and_costs_no_verdict(caplog: pytest.LogCaptureFixture) -> None:
    folder_of("plates").parent.mkdir()
    folder_of("plates").write_text("a file in the folder's place")
    keeper = Keeper("plates", Rule())
    with caplog.at_level(logging.WARNING):
        keeper.wants([judged(1, score=0.9)])
        keeper.wants([judged(2, score=0.9)])
    assert len(caplog.messages) == 1
    assert "not all pictures are kept for review" in caplog.messages[0]


def test_a_map_that_cannot_be_drawn_costs_no_verdict(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> bytes:
        raise ValueError("heat scale: low nan")

    keep(judged(1, score=0.9)._replace(heat=fails))
    assert "not all pictures are kept for review (heat scale: low nan)" in caplog.text
    with opened("plates") as base:
        assert not base.execute("SELECT 1 FROM pictures").fetchall()


def test_a_failure_halfway_leaves_no_entry_and_the_next_start_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    (kept,) = keep(judged(1, score=0.9))
    with monkeypatch.context() as patch:
        patch.setattr(module, "write", full)
        keep(judged(2, score=0.9))
    assert len(files()) == 2
    keep()
    keep(judged(3, score=0.9))
    assert len(files()) == 2
    with opened("plates") as base:
        assert {row["sha256"] for row in base.execute("SELECT sha256 FROM pictures")} == files()
    assert kept in files()


def test_decisions_are_only_added() -> None:
    (sha256,) = keep(judged(1, score=0.9))
    with opened("plates") as base:
        decide(base, sha256, "Ana", "good", "", time.time())
        for change in ("DELETE FROM decisions", "UPDATE decisions SET action = 'skip'"):
            with pytest.raises(sqlite3.IntegrityError, match="decisions are only added"):
                base.execute(change)


def test_of_many_regions_the_largest_are_drawn() -> None:
    found = [regions_of(1)[0]._replace(area=area) for area in range(300)]
    assert [one.area for one in shown(found)] == list(range(299, 99, -1))
    long = [found[0]._replace(area=area, polygon=(0,) * 30_000) for area in (1, 2)]
    assert [one.area for one in shown(long)] == [2]
