"""Production over time: fastflow drift bottle --since 30d

Draws production/<category>.html of what `fastflow score` and `fastflow serve` recorded: scores, rejects with their
limits and the looks of the photographs over time, where another model began to score, the worst and oddest pictures.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from fastflow.files import write_text
from fastflow.metrics.rates import rate_interval
from pipelines.core.duration import seconds_of
from pipelines.core.params import Params
from pipelines.core.paths import PRODUCTION
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.monitoring.production_charts import bins_of, look_over_time, rejects_over_time, scores_over_time
from pipelines.monitoring.production_log import models_of, pictures_of, read_log, with_oddness
from pipelines.reporting.pages.drawing import svg
from pipelines.reporting.pages.page import page, percent, webp
from pipelines.scoring.oddness import LEAST, LOOKS
from pipelines.scoring.production import MAX_DAYS, MAX_ROWS, file_of

SHOWN = 16  # of the worst, and of the oddest pictures


def write_production(category: str, params: Params, *, since: str) -> Path:
    """Writes the page of the time since, such as 30d; returns its file.

    Raises:
        ValueError: no length of time, or nothing was recorded.
        BadData: the record is damaged.
    """
    table = with_oddness(read_log(category, since=time.time() - seconds_of(since)))
    if not len(table):
        raise ValueError(f"{file_of(category)} holds no score of the last {since}; name a longer time")
    shown = {"worst": worst(table), "oddest": oddest(table)}
    pictures = pictures_of(category, [row["id"] for rows in shown.values() for row in rows])
    cases = {kind: [case(row, pictures) for row in rows] for kind, rows in shown.items()}
    summary = summary_of(table, usual_rejects=params.drift.usual_rejects)
    about = {
        "recorded in": str(file_of(category)),
        "kept": f"the newest {MAX_ROWS:,} scores, {MAX_DAYS} days",
    } | project_version()
    text = render(category, table, summary, cases, since=since, usual=params.drift.usual_rejects, about=about)
    file = PRODUCTION / f"{category}.html"
    write_text(file, text)
    log.info("%s: %s See %s", category, summary["sentence"], file)
    return file


def summary_of(table: pd.DataFrame, *, usual_rejects: float) -> dict[str, Any]:
    """What came of it: counts, limits, a heading and a sentence."""
    rejected, images = int(table["pred_label"].sum()), len(table)
    low, high = rate_interval(rejected, images)
    odd = table[table["odd"]]
    odd_rejected = int(odd["pred_label"].sum())
    sentence = (
        f"{rejected:,} of {images:,} photographs were rejected, {percent(rejected / images)} (95 %: {percent(low)} to "
        f"{percent(high)})."
    )
    left = rate_interval(rejected - odd_rejected, images - len(odd))[0] if images > len(odd) else 0.0
    headings = []
    if len(odd):
        some = f"{odd_rejected:,} of {rejected:,} rejects are odd pictures"
        headings.append(some if odd_rejected else f"{len(odd):,} odd pictures, all accepted")
        sentence += (
            f" {len(odd):,} look unlike those that were accepted, {odd_rejected:,} of them rejected: look at the "
            "camera before the parts."
        )
    if not left <= usual_rejects:
        headings.append("more rejects than usual")
        sentence += f" The others are rejected more often than usual, {percent(usual_rejects)} (drift.usual_rejects)."
    if (table["pred_label"] == 0).sum() < LEAST:
        sentence += f" Fewer than {LEAST} were accepted: what is odd cannot be told."
    numbers = {"images": images, "rejected": rejected, "odd": len(odd), "odd_rejected": odd_rejected}
    heading = ", and ".join(headings) or "Nothing odd"
    return numbers | {"low": low, "high": high, "heading": heading[0].upper() + heading[1:], "sentence": sentence}


def worst(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The highest scores above their threshold, odd pictures apart; the same photograph once."""
    usual = table[~table["odd"]]
    return _once(usual.assign(margin=usual["pred_score"] - usual["threshold"]).sort_values("margin", ascending=False))


def oddest(table: pd.DataFrame) -> list[dict[str, Any]]:
    return _once(table[table["odd"]].sort_values("oddness", ascending=False))


def _once(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The first rows, a row a photograph: its newest one, which may have the picture, and how often it came."""
    counts = table["sha256"].value_counts()
    newest = table.groupby("sha256")["id"].max()
    rows = table.drop_duplicates("sha256").head(SHOWN).to_dict("records")
    return [
        {**{str(k): v for k, v in row.items()}, "times": int(counts[row["sha256"]]), "id": int(newest[row["sha256"]])}
        for row in rows
    ]


def case(row: Mapping[str, Any], pictures: Mapping[int, bytes]) -> dict[str, Any]:
    """What the template shows of a photograph."""
    content = pictures.get(row["id"])
    return {
        "picture": webp(content) if content else "",
        "name": row["name"] or f"sha256 {row['sha256'][:12]}",
        "score": row["pred_score"],
        "rejected": bool(row["pred_label"]),
        "when": datetime.fromtimestamp(row["time"]).strftime("%Y-%m-%d %H:%M"),
        "why": row["why"] if row["odd"] else "",
        "times": row["times"],
    }


def render(
    category: str,
    table: pd.DataFrame,
    summary: Mapping[str, Any],
    cases: Mapping[str, list[dict[str, Any]]],
    *,
    since: str,
    usual: float,
    about: Mapping[str, str],
) -> str:
    """The page; `table` as `with_oddness` gives it."""
    bins, models = bins_of(table["time"]), models_of(table)
    changes = models[1:]
    first, last = (datetime.fromtimestamp(t).strftime("%Y-%m-%d %H:%M") for t in table["time"].iloc[[0, -1]])
    return page(
        "production.html",
        title=f"Production: {category}",
        subtitle=f"the last {since}: {first} to {last}",
        summary=summary,
        scores=svg(scores_over_time(table, bins, changes)),
        rejects=svg(rejects_over_time(table, bins, changes, usual_rejects=usual)),
        looks=[svg(look_over_time(name, table, bins, changes)) for name in LOOKS],
        models=[model for _, model in models],
        cases=cases,
        about=about,
    )
