"""What stands of what inspectors said: undone, changed, disagreed on; and whose turn a picture is."""

import sqlite3
from collections.abc import Iterator

import pytest
from scipy.stats import beta

from pipelines.review.decisions import (
    Unknown,
    counts,
    decide,
    disagreements,
    inspector_of,
    kind_of,
    limits,
    said_of,
    undo,
)
from pipelines.review.rule import PASS
from pipelines.review.store import opened
from pipelines.review.turns import CLAIM_SECONDS, hand_out
from tests.review.kit import judged, keep

NOW = 1_800_000_000.0


@pytest.fixture
def base(folder: object) -> Iterator[sqlite3.Connection]:
    keep(*(judged(n, score=0.1 + 0.1 * n) for n in range(8)))  # 0.5 passes: five passes, three rejects
    with opened("plates") as base:
        yield base


def every(base: sqlite3.Connection) -> list[str]:
    return [row["sha256"] for row in base.execute("SELECT sha256 FROM pictures ORDER BY pred_score")]


def said(base: sqlite3.Connection, sha256: str) -> list[tuple[str, str, str]]:
    return [(one["inspector"], one["action"], one["kind"]) for one in said_of(base, sha256)]


def test_the_last_word_of_each_inspector_stands_and_undo_goes_back(base: sqlite3.Connection) -> None:
    one = every(base)[0]
    decide(base, one, "Ana", "good", "", NOW)
    decide(base, one, "Ana", "defect", "dent", NOW + 1)
    assert said(base, one) == [("Ana", "defect", "dent")]
    assert undo(base, "Ana", NOW + 2) == one
    assert said(base, one) == [("Ana", "good", "")]
    assert undo(base, "Ben", NOW + 3) is None
    assert undo(base, "Ana", NOW + 4) == one
    assert said(base, one) == []
    assert undo(base, "Ana", NOW + 5) is None
    rows = base.execute("SELECT action, undoes, model, pred_score FROM decisions ORDER BY id").fetchall()
    assert [(row["action"], row["undoes"]) for row in rows] == [
        ("good", None), ("defect", None), ("undo", 2), ("undo", 1),
    ]  # fmt: skip
    assert {(row["model"], row["pred_score"]) for row in rows} == {("models:/fastflow-plates/3", 0.1)}


def test_different_words_are_a_disagreement_until_one_changes(base: sqlite3.Connection) -> None:
    a, b, c, d, *_ = every(base)
    for sha256, first, second in [
        (a, ("good", ""), ("defect", "dent")), (b, ("defect", "dent"), ("defect", "hole")),
        (c, ("defect", "dent"), ("defect", "dent")), (d, ("good", ""), ("skip", "")),
    ]:  # fmt: skip
        decide(base, sha256, "Ana", *first, NOW)
        decide(base, sha256, "Ben", *second, NOW)
    assert disagreements(base) == [b, a]
    decide(base, a, "Ana", "defect", "dent", NOW)
    assert disagreements(base) == [b]
    undo(base, "Ana", NOW)
    assert disagreements(base) == [a, b]


def test_each_inspector_is_handed_another_picture_for_a_while(base: sqlite3.Connection) -> None:
    def next_of(inspector: str, now: float) -> str:
        item = hand_out(base, inspector, now)
        return str(item["sha256"]) if item else ""

    first = next_of("Ana", NOW)
    assert next_of("Ana", NOW + 1) == first  # the page was loaded again
    names = ["Ben", "Cem", "Dee", "Eva", "Fay", "Gil", "Hal"]
    others = [next_of(name, NOW + 2) for name in names]
    assert len({first, *others}) == 8
    assert next_of("Ivo", NOW + 3) == ""
    assert next_of("Ivo", NOW + CLAIM_SECONDS + 1.5) == first
    assert next_of("Ana", NOW + CLAIM_SECONDS + 2) != first  # hers is another's now


def test_a_request_that_waited_for_another_does_not_take_its_picture(base: sqlite3.Connection) -> None:
    """Its time is that of its arrival, before the other's."""
    first, second = hand_out(base, "Ana", NOW), hand_out(base, "Ben", NOW - 20)
    assert first
    assert second
    assert first["sha256"] != second["sha256"]


def test_a_clock_that_is_set_back_holds_nothing_for_long(base: sqlite3.Connection) -> None:
    item = hand_out(base, "Ana", NOW)
    assert item
    found = [hand_out(base, "Ben", NOW - 86400)]
    assert found[0]
    assert found[0]["sha256"] == item["sha256"]


def test_what_was_decided_or_skipped_does_not_come_again(base: sqlite3.Connection) -> None:
    seen = []
    for number in range(8):
        item = hand_out(base, "Ana", NOW)
        assert item
        seen.append(item["sha256"])
        decide(base, item["sha256"], "Ana", "good" if number else "skip", "", NOW)
    assert sorted(seen) == sorted(every(base))
    assert hand_out(base, "Ana", NOW) is None
    skipped = hand_out(base, "Ben", NOW)
    assert skipped
    assert skipped["sha256"] == seen[0]


def test_a_second_opinion_is_blind_and_of_another(base: sqlite3.Connection) -> None:
    one = every(base)[3]
    decide(base, one, "Ana", "good", "", NOW)
    assert hand_out(base, "Ana", NOW, queue="second") is None
    item = hand_out(base, "Ben", NOW, queue="second")
    assert item
    assert (item["sha256"], item["said"]) == (one, [])
    decide(base, one, "Ben", "defect", "dent", NOW)
    assert hand_out(base, "Cem", NOW, queue="second") is None
    item = hand_out(base, "Cem", NOW, sha256=one)
    assert item
    assert [said["inspector"] for said in item["said"]] == ["Ana", "Ben"]


def test_kinds_of_pictures_are_counted_and_asked_for_alone(base: sqlite3.Connection) -> None:
    item = hand_out(base, "Ana", NOW, kind="reject")
    assert item
    assert item["pred_label"] == 1
    decide(base, item["sha256"], "Ana", "good", "", NOW)
    decide(base, item["sha256"], "Ben", "good", "", NOW)
    assert counts(base) == {
        "reject": {"total": 3, "done": 1}, "borderline": {"total": 5, "done": 0}, "pass": {"total": 5, "done": 0},
    }  # fmt: skip


def test_the_limit_is_that_of_clopper_and_pearson(base: sqlite3.Connection) -> None:
    passes = every(base)[:5]
    for sha256 in passes[:3]:
        decide(base, sha256, "Ana", "good", "", NOW)
    (limit,) = limits(base)
    assert (limit.reviewed, limit.defective) == (3, 0)
    assert limit.at_most == pytest.approx(1 - 0.05 ** (1 / 3))
    decide(base, passes[3], "Ana", "defect", "dent", NOW)
    decide(base, passes[0], "Ben", "defect", "dent", NOW)  # disagreed on: not counted
    (limit,) = limits(base)
    assert (limit.reviewed, limit.defective) == (3, 1)
    assert limit.at_most == pytest.approx(beta.ppf(0.95, 2, 2))
    assert {row["kind"] for row in base.execute("SELECT kind FROM members WHERE sha256 = ?", (passes[0],))} >= {PASS}


def test_what_is_not_kept_cannot_be_decided_on(base: sqlite3.Connection) -> None:
    with pytest.raises(Unknown, match="no longer kept"):
        decide(base, "0" * 64, "Ana", "good", "", NOW)
    with pytest.raises(Unknown, match="no longer kept"):
        hand_out(base, "Ana", NOW, sha256="0" * 64)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("dent", "dent"),
        (" deep  scratch ", "deep_scratch"),
        ("Kratzer groß", "Kratzer_groß"),
        ("DENT", "dent"),
        ("e\u0301", "é"),
    ],
)
def test_a_kind_becomes_a_folders_name(name: str, kept: str) -> None:
    assert kind_of(name, ["dent"]) == kept


@pytest.mark.parametrize(
    "name", ["", " ", "good", "OK", "Normal", ".x", "..", "a/b", "a\\b", "<b>", "x" * 41, "a\0b", "x.", "-x", "a\n/b"]
)
def test_what_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a kind of defect"):
        kind_of(name, ["dent"])


def test_a_kind_that_the_folder_has_stays_as_it_is() -> None:
    assert kind_of("<img src=x>", ["<img src=x>"]) == "<img src=x>"


def test_an_inspector_has_a_name() -> None:
    assert inspector_of("  Ana Lía ") == "Ana Lía"
    for name in ("", "   ", "a\nb", "x" * 41, "\u202ea"):
        with pytest.raises(ValueError, match="cannot be an inspector's"):
            inspector_of(name)
