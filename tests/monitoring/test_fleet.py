"""The page of all categories: which facts become which rows, and what needs a person."""

import html
import re
from datetime import date, datetime
from pathlib import Path

import html5lib
import pytest

from pipelines.core.params import read_params
from pipelines.monitoring.fleet import NIGHTS, URGENCY, Facts, age_of, rows_of
from pipelines.monitoring.fleet_page import HEIGHT, Links, render, spark
from pipelines.registry.standing import Standing, Version
from pipelines.tracking.history import Check, Evaluation, Night
from tests.conftest import ROOT

TODAY = date(2026, 11, 29)
NOON = datetime(2026, 11, 29, 12).timestamp()
DAY = 86400.0
GATE = read_params(ROOT / "params.yaml").gate


def version(number: str, **tags: str) -> Version:
    return Version(number, NOON - 3 * DAY, "run", tags)


def night(days: float, status: str = "FINISHED", **results: str) -> Night:
    """Results as `trained promoted`; the reason after a colon."""
    found = {}
    for name, words in results.items():
        said, _, reason = words.partition(":")
        outcome, _, verdict = said.partition(" ")
        found[name] = {"outcome": outcome, "verdict": verdict, "reason": reason}
    return Night(NOON - days * DAY, status, list(results) or ["a", "b"], found)


CHAMPION = Standing(version("3"), None)


def facts(*names: str, standings: dict[str, Standing] | None = None, **values: object) -> Facts:
    empty: dict[str, object] = {"nights": [], "evaluations": {}, "checks": {}, "requests": {}}
    known = dict.fromkeys(names, CHAMPION) | (standings or {})
    return Facts(categories=names, standings=known, **(empty | values))  # type: ignore[arg-type]


def needs(found: Facts, name: str) -> list[tuple[str, str]]:
    (row,) = [row for row in rows_of(found, today=TODAY) if row.name == name]
    return [(need.kind, need.command) for need in row.needs]


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (CHAMPION, []),
        (Standing(None, None), [("no champion", "fastflow evaluate a")]),
        (Standing(None, version("1", gate="inconclusive: unclear first")), [("first champion", "1")]),
        (Standing(None, version("1", gate="refused: failed misses")), [("no champion", "")]),
        (Standing(None, version("1")), [("no champion", "fastflow promote a")]),
        (Standing(version("3"), version("4", gate="inconclusive")), [("inconclusive", "4")]),
        (Standing(version("3"), version("4", gate="refused")), []),
        (Standing(version("3"), version("4")), [("not judged", "fastflow promote a")]),
        (Standing(version("3"), version("4", gate="rolled back: inconclusive: unclear aupro")), []),
        (Standing(version("3"), version("3", gate="inconclusive")), []),
    ],
)
def test_what_the_registry_says_needs_a_person(standing: Standing, expected: list[tuple[str, str]]) -> None:
    accept = 'fastflow promote a --version {} --accept-inconclusive "why"'
    wanted = [(kind, accept.format(command) if command.isdigit() else command) for kind, command in expected]
    assert needs(facts("a", standings={"a": standing}), "a") == wanted


def test_what_needs_a_person_is_on_top_the_most_urgent_first() -> None:
    found = facts(
        "fine", "Asked", "unjudged", "waits", "first", "none", "drifts", "fails", "mended",
        standings={
            "none": Standing(None, None),
            "first": Standing(None, version("1", gate="inconclusive")),
            "waits": Standing(version("1"), version("2", gate="inconclusive")),
            "unjudged": Standing(version("1"), version("2")),
        },
        nights=[
            night(1, fails="trained promoted", mended="failed:no disk"),
            night(0.1, fails="failed:bad", mended="trained promoted"),
        ],
        checks={"drifts": Check(NOON, "camera", "the light"), "fine": Check(NOON, "same", "as ever")},
        requests={"Asked": ["queued since 02:10"]},
    )  # fmt: skip
    rows = rows_of(found, today=TODAY)
    assert [row.name for row in rows] == [
        "fails", "drifts", "none", "first", "waits", "unjudged", "Asked", "fine", "mended",
    ]  # fmt: skip
    assert [row.urgency for row in rows[:6]] == list(range(len(URGENCY)))
    assert rows[0].needs[0].why == "bad"


def test_the_strip_has_a_cell_a_day_the_last_retraining_of_it_counts() -> None:
    nights = [
        night(13, a="trained promoted"), night(2.3, a="failed:x"), night(2, a="trained inconclusive"),
        night(1, "KILLED"), night(30, a="trained refused"), night(0, b="trained promoted"),
    ]  # fmt: skip
    (row,) = rows_of(facts("a", nights=nights), today=TODAY)
    kinds = [cell.kind for cell in row.strip]
    assert len(kinds) == NIGHTS
    assert kinds == ["promoted", *["none"] * 10, "inconclusive", "ended", "none"]
    assert row.strip[-3].says == "27 Nov: failed; trained, inconclusive"
    assert (row.last.kind, row.needs) == ("ended", [])


def test_sparklines_are_on_the_scale_of_the_gate_and_skip_what_is_unknown() -> None:
    line = spark([(0, 10), None, (1, 10), (9, 10)], limit=0.1)
    assert line is not None
    heights = [float(point.split(",")[1]) for point in line["points"].split()]
    assert heights[1] == pytest.approx(HEIGHT / 2)
    assert heights == sorted(heights, reverse=True)
    assert (len(heights), min(heights) > 0, line["over"], line["count"]) == (3, True, True, 9)
    assert spark([None, None], limit=0.1) is None
    for limit in (0.0, 1.0):
        assert "nan" not in str(spark([(0, 10), (10, 10)], limit=limit))


def test_the_page_escapes_every_name_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    evil = '<img src=x onerror="alert(1)">'
    evil_facts = facts(
        evil,
        standings={evil: Standing(version(evil), version("4", gate="inconclusive", gate_unclear=evil))},
        nights=[night(0, **{evil: f"failed:{evil}"})],
        evaluations={evil: [Evaluation(NOON, evil, (1, 2), None)]},
        checks={evil: Check(NOON, "camera", evil)},
        requests={evil: [evil]},
    )
    links = Links("http://127.0.0.1:5000", "http://127.0.0.1:4200", "1")
    text = render(evil_facts, GATE, notes=[evil], links=links, folder=tmp_path)
    html5lib.HTMLParser(strict=True).parse(text)
    assert "<img" not in text
    assert html.escape(evil, quote=False) in text.replace("&#34;", '"')
    assert "javascript:" not in text
    unknown = evil_facts._replace(standings=None)
    assert "no champion" not in render(unknown, GATE, notes=["MLflow is away"], links=Links(), folder=tmp_path)


def test_a_hundred_categories_are_one_small_page_without_a_network(tmp_path: Path) -> None:
    names = [f"part_{number:03}" for number in range(100)]
    nights = [night(days, **dict.fromkeys(names, "trained promoted")) for days in range(14)]
    evaluations = {name: [Evaluation(NOON, "r", (1, 24), (2, 60))] * 14 for name in names}
    (tmp_path / "report.html").touch()
    (tmp_path / "drift").mkdir()
    (tmp_path / "drift/part_007.html").touch()
    (tmp_path / "reports/part_007").mkdir(parents=True)
    found = facts(*names, nights=nights, evaluations=evaluations)
    text = render(found, GATE, notes=[], links=Links(), folder=tmp_path)
    html5lib.HTMLParser(strict=True).parse(text)
    assert text.count('<tr id="row-') == 100
    assert len(text) < 600_000
    assert not re.findall(r'(?:src|href)="(?!#|data:|drift/|report\.html)', text)
    assert 'href="report.html#c-part_007"' in text
    assert 'href="drift/part_007.html"' in text


def test_ages() -> None:
    ages = [age_of(version("1")._replace(made=NOON - hours * 3600), now=NOON) for hours in (-5, 0.2, 23, 25, 2400)]
    assert ages == ["1 h", "1 h", "23 h", "1 d", "100 d"]
