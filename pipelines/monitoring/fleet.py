"""All categories on one page: which champion, what came of the last nights, and what needs a person.

Facts in, rows out: no file and no server here.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from pipelines.registry.aliases import VERDICT, WITHDRAWN
from pipelines.registry.standing import Standing, Version
from pipelines.reporting.decision import INCONCLUSIVE, REFUSED
from pipelines.tracking.history import Check, Evaluation, Night

NIGHTS = 14
FAILED, DRIFT, NO_CHAMPION, FIRST, WAITING, UNJUDGED = (
    "failed", "drift", "no champion", "first champion", "inconclusive", "not judged",
)  # fmt: skip
URGENCY = (FAILED, DRIFT, NO_CHAMPION, FIRST, WAITING, UNJUDGED)  # what needs a person, most urgent first
ALARMS = ("camera", "scores", "defects")
DRIFTS = {
    "same": "as before",
    "too_few": "too few",
    "camera": "looks changed",
    "scores": "scores changed",
    "defects": "more rejects",
}
ENDED_EARLY = {"FAILED": "it failed", "KILLED": "it was ended or cancelled", "RUNNING": "it has not ended"}


class Facts(NamedTuple):
    """What is known of the fleet. `standings`: None where the registry did not answer."""

    categories: Sequence[str]
    standings: Mapping[str, Standing] | None
    nights: Sequence[Night]
    evaluations: Mapping[str, Sequence[Evaluation]]
    checks: Mapping[str, Check]
    requests: Mapping[str, Sequence[str]]


class Need(NamedTuple):
    """What a person should do about a category: one of URGENCY, why, and a command, where one does it."""

    kind: str
    why: str
    command: str = ""


class Cell(NamedTuple):
    """A category's day in the strip: how it is drawn, and what it says."""

    kind: str
    says: str


class Row(NamedTuple):
    """A category."""

    name: str
    standing: Standing | None
    last: Cell
    last_day: str
    strip: Sequence[Cell]
    evaluations: Sequence[Evaluation]
    check: Check | None
    requests: Sequence[str]
    needs: Sequence[Need]

    @property
    def urgency(self) -> int:
        return min((URGENCY.index(need.kind) for need in self.needs), default=len(URGENCY))


def rows_of(facts: Facts, *, today: date) -> list[Row]:
    """A row a category: what needs a person on top, then those with an open request, then by name."""
    rows = [_row(name, facts, today) for name in dict.fromkeys(facts.categories)]
    return sorted(rows, key=lambda row: (row.urgency, not row.requests, row.name.casefold(), row.name))


def _row(name: str, facts: Facts, today: date) -> Row:
    own = sorted((night for night in facts.nights if name in night.categories), key=lambda night: night.start)
    last = own[-1] if own else None
    standing = (facts.standings.get(name) or Standing(None, None)) if facts.standings is not None else None
    check = facts.checks.get(name)
    needs = [*_of_night(name, last), *_of_drift(name, check), *_of_standing(name, standing)]
    return Row(
        name=name,
        standing=standing,
        last=_cell(name, last) if last else Cell("none", ""),
        last_day=day_of(last.start).strftime("%d %b") if last else "",
        strip=_strip(name, own, today),
        evaluations=facts.evaluations.get(name, ()),
        check=check,
        requests=facts.requests.get(name, ()),
        needs=needs,
    )


def day_of(start: float) -> date:
    return datetime.fromtimestamp(start).date()


def _strip(name: str, nights: Sequence[Night], today: date) -> list[Cell]:
    """The last NIGHTS days; of several retrainings of a day the last counts, and all are said."""
    found = []
    for back in range(NIGHTS - 1, -1, -1):
        day = today - timedelta(days=back)
        cells = [_cell(name, night) for night in nights if day_of(night.start) == day]
        says = "; ".join(cell.says for cell in cells) or "no retraining"
        found.append(Cell(cells[-1].kind if cells else "none", f"{day:%d %b}: {says}"))
    return found


def _cell(name: str, night: Night) -> Cell:
    """The verdict, or else what ran."""
    result = night.results.get(name)
    if result is None:
        return Cell("ended", ENDED_EARLY[night.status]) if night.status in ENDED_EARLY else Cell("done", "no details")
    verdict, outcome = result.get("verdict", ""), result.get("outcome", "")
    return Cell(verdict or outcome, ", ".join(filter(None, (outcome, verdict))))


def _of_night(name: str, night: Night | None) -> list[Need]:
    result = night.results.get(name, {}) if night else {}
    if result.get("outcome") != FAILED:
        return []
    return [Need(FAILED, result.get("reason") or "see its run", f"fastflow evaluate {name}")]


def _of_drift(name: str, check: Check | None) -> list[Need]:
    return [Need(DRIFT, check.sentence or DRIFTS[check.kind])] if check and check.kind in ALARMS else []


def _of_standing(name: str, standing: Standing | None) -> list[Need]:
    if standing is None:
        return []
    champion, waiting = standing
    said = waiting.tags.get(VERDICT, "") if waiting else ""
    if waiting and (said.startswith(WITHDRAWN) or (champion and waiting.number == champion.number)):
        waiting = None
    if waiting is None:
        return [] if champion else [Need(NO_CHAMPION, "it has no model yet", f"fastflow evaluate {name}")]
    verdict, _, why = said.partition(": ")
    promote = f"fastflow promote {name}"
    accept = f'{promote} --version {waiting.number} --accept-inconclusive "why"'
    if verdict == INCONCLUSIVE:
        unclear = f"version {waiting.number}, {why or 'see its report'}"
        return [Need(WAITING if champion else FIRST, unclear, accept)]
    if verdict == REFUSED:
        failed = f"version {waiting.number} is refused: {why or 'see its report'}"
        return [] if champion else [Need(NO_CHAMPION, failed)]
    if verdict:
        return [] if champion else [Need(NO_CHAMPION, f"version {waiting.number} waits", promote)]
    return [
        Need(
            UNJUDGED if champion else NO_CHAMPION,
            f"version {waiting.number} was evaluated, and the gate not asked",
            promote,
        )
    ]


def age_of(version: Version, *, now: float) -> str:
    """Such as 3 d; in hours where it is younger than a day."""
    hours = max(0.0, now - version.made) / 3600
    return f"{hours / 24:.0f} d" if hours >= 24 else f"{max(1.0, hours):.0f} h"
