"""The page of all categories, fleet.html: what a person reads on Monday morning."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pipelines.core.gate_params import Gate
from pipelines.core.paths import REPORT, model_name
from pipelines.core.revision import project_version
from pipelines.monitoring.fleet import ALARMS, DRIFTS, NIGHTS, URGENCY, Facts, Row, age_of, rows_of
from pipelines.registry.standing import Version
from pipelines.reporting.pages.page import NONE, page
from pipelines.tracking.history import Evaluation

WIDTH, HEIGHT, MARGIN = 72.0, 20.0, 2.5  # of a sparkline, pixels
OPEN_NEEDS = 12  # up to so many are shown at once; more are unfolded, kind by kind
LAST = 20  # evaluations of a sparkline
NAMES = {  # of what needs a person
    "failed": "failed last night",
    "drift": "drift alarm",
    "no champion": "no champion",
    "first champion": "first champion, yours to decide",
    "inconclusive": "inconclusive, yours to decide",
    "not judged": "gate not asked",
}


class Links(NamedTuple):
    """Where the pages of the servers are, without a slash at the end; empty where there is no server."""

    mlflow: str = ""
    prefect: str = ""
    experiment: str = ""


def render(facts: Facts, gate: Gate, *, notes: Sequence[str], links: Links, folder: Path = Path()) -> str:
    """The page. `notes`: what it does not know, and why; `folder`: where reports and drift pages are looked for."""
    now = time.time()
    rows = rows_of(facts, today=datetime.fromtimestamp(now).date())
    needs = [(row, need) for row in rows for need in row.needs]
    today = datetime.fromtimestamp(now)
    return page(
        "fleet.html",
        title="All categories",
        subtitle=f"as of {today:%A, %d %B %Y, %H:%M}",
        notes=[*notes, *_early_end(facts)],
        needs=[
            need._asdict() | {"name": row.name, "what": NAMES[need.kind], "rank": URGENCY.index(need.kind)}
            for row, need in sorted(needs, key=_rank)
        ],
        open_needs=OPEN_NEEDS,
        counts=counts_of(rows),
        rows=[view(row, gate, links=links, folder=folder, now=now) for row in rows],
        days=[(today - timedelta(days=back)).strftime("%d %b") for back in (NIGHTS - 1, 0)],
        links=links,
        about=project_version(),
    )


def _rank(found: tuple[Row, Any]) -> tuple[int, str]:
    return URGENCY.index(found[1].kind), found[0].name.casefold()


def _early_end(facts: Facts) -> list[str]:
    """What to say of the last retraining where it left no results."""
    last = max(facts.nights, key=lambda night: night.start, default=None)
    if last is None or last.results or last.status == "FINISHED":
        return []
    what = "was ended or cancelled" if last.status == "KILLED" else "failed"
    when = datetime.fromtimestamp(last.start)
    return [
        f"The last retraining, of {when:%d %b, %H:%M}, {what} before it had a result; its log is in Prefect's pages."
    ]


def counts_of(rows: Sequence[Row]) -> dict[str, str]:
    """The cards on top."""
    night = Counter(row.last.kind for row in rows if row.last.kind not in ("none", "up to date"))
    said = ", ".join(f"{count} {kind}" for kind, count in night.most_common()) or (
        "nothing changed" if any(row.last_day for row in rows) else "none yet"
    )
    standings = [row.standing for row in rows if row.standing]
    champions = str(sum(bool(one.champion) for one in standings)) if len(standings) == len(rows) else NONE
    return {
        "categories": str(len(rows)),
        "need a person": str(sum(bool(row.needs) for row in rows)),
        "with a champion": champions,
        "last retraining of each": said,
    }


def view(row: Row, gate: Gate, *, links: Links, folder: Path, now: float) -> dict[str, Any]:
    """What the template shows of a category, ready made."""
    rules = gate.of(row.name)
    champion = row.standing.champion if row.standing else None
    last = row.evaluations[-1] if row.evaluations else None
    sparks = {
        "misses": spark([e.misses for e in row.evaluations], limit=rules.miss_rate),
        "false rejects": spark([e.false_rejects for e in row.evaluations], limit=rules.false_reject_rate),
    }
    check = row.check
    return {
        "name": row.name,
        "champion": _champion(champion, now=now),
        "champion_link": _model_page(row.name, champion, links),
        "known": row.standing is not None,
        "last": row.last,
        "last_day": row.last_day,
        "strip": row.strip,
        "sparks": sparks,
        "drift": None if check is None else {
            "kind": check.kind,
            "label": DRIFTS.get(check.kind, check.kind),
            "alarm": check.kind in ALARMS,
            "day": datetime.fromtimestamp(check.start).strftime("%d %b"),
        },
        "requests": row.requests,
        "urgent": bool(row.needs),
        "search": " ".join([row.name, row.last.says, *(NAMES[n.kind] for n in row.needs), *row.requests]).casefold(),
        "links": _links(row.name, last, links, folder),
    }  # fmt: skip


def _champion(version: Version | None, *, now: float) -> dict[str, str] | None:
    return (
        None
        if version is None
        else {
            "number": version.number,
            "age": age_of(version, now=now),
            "hours": f"{(now - version.made) / 3600:.1f}",
        }
    )


def _model_page(category: str, version: Version | None, links: Links) -> str:
    if version is None or not links.mlflow:
        return ""
    return f"{links.mlflow}/#/models/{quote(model_name(category), safe='')}/versions/{quote(version.number, safe='')}"


def _links(category: str, last: Evaluation | None, links: Links, folder: Path) -> dict[str, str]:
    """Pages onward, by their name; those on disk where they are there."""
    name, found = quote(category, safe=""), {}
    if (folder / REPORT).is_file() and (folder / "reports" / category).is_dir():
        found["report"] = f"{REPORT.name}#c-{name}"
    for kind in ("drift", "production"):
        if (folder / kind / f"{category}.html").is_file():
            found[kind] = f"{kind}/{name}.html"
    if last and links.mlflow and links.experiment:
        found["run"] = (
            f"{links.mlflow}/#/experiments/{quote(links.experiment, safe='')}/runs/{quote(last.run_id, safe='')}"
        )
    return found


def spark(counts: Sequence[tuple[int, int] | None], *, limit: float) -> dict[str, Any] | None:
    """A line of the last rates, in pixels: the gate's `limit` is in the middle, twice as much or more at the top; None
    where there is no rate. `over`: the last one is above the limit."""
    known = [(i, count, total) for i, (count, total) in enumerate(filter(None, counts[-LAST:]))]
    if not known:
        return None
    top = min(1.0, 2 * limit) or 1.0
    step = (WIDTH - 2 * MARGIN) / max(1, len(known) - 1)

    def height(rate: float) -> float:
        return round(HEIGHT - MARGIN - min(1.0, rate / top) * (HEIGHT - 2 * MARGIN), 1)

    start = WIDTH - MARGIN - step * (len(known) - 1)  # a single one is at the right
    points = [(round(start + step * i, 1), height(count / total)) for i, count, total in known]
    _, count, total = known[-1]
    return {
        "points": " ".join(f"{x},{y}" for x, y in points),
        "last": points[-1],
        "limit": height(limit),
        "count": count,
        "total": total,
        "rate": count / total,
        "over": not count / total <= limit,
        "says": f"{len(known)} evaluations, the last {count} of {total}; the gate allows {limit:.0%}",
    }
