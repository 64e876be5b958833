"""What happened of late, from MLflow's runs: nights with each category's outcome, evaluations, drift checks."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipelines.core import experiment
from pipelines.registry import store
from pipelines.registry.paging import all_pages
from pipelines.tracking import journal

NIGHT = "night.json"  # in a retraining's run, below NIGHT_FOLDER
NIGHT_FOLDER = "night"
CATEGORIES = "categories"  # the tag of a retraining
MAX_NIGHTS, MAX_RUNS, PAGE_SIZE = 60, 6000, 1000
FILES_SECONDS = 20.0  # for the files of all nights; a slow server does not hold up the page


class Night(NamedTuple):
    """A retraining. `start`: seconds since 1970; `results`: by category, `outcome`, `verdict` and `reason`; empty where
    it ended before it had any, for the reason that `status` names."""

    start: float
    status: str
    categories: Sequence[str]
    results: Mapping[str, Mapping[str, str]]


class Evaluation(NamedTuple):
    """Counts at the model's own threshold; None where there was no such image."""

    start: float
    run_id: str
    misses: tuple[int, int] | None
    false_rejects: tuple[int, int] | None


class Check(NamedTuple):
    """A drift check: its verdict's kind and sentence."""

    start: float
    kind: str
    sentence: str


class History(NamedTuple):
    """Each oldest first; by category, but for the nights."""

    nights: list[Night]
    evaluations: dict[str, list[Evaluation]]
    checks: dict[str, list[Check]]


def history(client: mlflow.MlflowClient, *, since: float) -> History:
    """From that time on (seconds since 1970), the newest where those are many. Call it inside `answering`."""
    evaluations: dict[str, list[Evaluation]] = {}
    checks: dict[str, list[Check]] = {}
    runs = list(_runs(client, "tags.category LIKE '%'", since=since, limit=MAX_RUNS))
    for run in sorted(runs, key=lambda run: run.info.start_time):
        tags, metrics, start = run.data.tags, run.data.metrics, run.info.start_time / 1000
        if "drift" in tags:
            checks.setdefault(tags["category"], []).append(
                Check(start, tags["drift"], tags.get("mlflow.note.content", ""))
            )
        elif experiment.TAG not in tags and {"num_good", "num_defective"} & metrics.keys():
            counts = _counted(metrics, "misses", "num_defective"), _counted(metrics, "false_rejects", "num_good")
            evaluations.setdefault(tags["category"], []).append(Evaluation(start, run.info.run_id, *counts))
    return History(_nights(client, since), evaluations, checks)


def unsent_nights() -> list[Night]:
    """Retrainings that MLflow has not received yet; a running one is not among them."""
    found = []
    for folder in journal.pending():
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            header, *entries = journal.read(folder)
            if CATEGORIES not in header["tags"] or journal.writer_is_alive(folder):
                continue
            (place,) = [e["source"] for e in entries if e["op"] == "files" and e["under"] == NIGHT_FOLDER] or [""]
            status = next((str(e["status"]) for e in entries if e["op"] == "end"), "KILLED")
            results = results_of((folder / place / NIGHT).read_text()) if place else {}
            found.append(Night(header["time"] / 1000, status, names_of(header["tags"]), results))
    return found


def names_of(tags: Mapping[str, str]) -> list[str]:
    return [name for name in tags[CATEGORIES].split(", ") if name]


def results_of(text: str) -> dict[str, dict[str, str]]:
    """Of night.json. Raises ValueError, TypeError, KeyError where it is something else."""
    rows: list[dict[str, Any]] = json.loads(text)
    return {str(row["category"]): {str(key): str(value or "") for key, value in row.items()} for row in rows}


def _runs(client: mlflow.MlflowClient, query: str, *, since: float, limit: int) -> Iterator[Run]:
    """Newest first."""
    where, size = [store.experiment_id(client)], min(limit, PAGE_SIZE)
    query = f"{query} AND attributes.start_time >= {int(1000 * since)}"
    order = ["attributes.start_time DESC"]
    found = all_pages(
        lambda token: client.search_runs(where, query, max_results=size, order_by=order, page_token=token)
    )
    return islice(found, limit)


def _nights(client: mlflow.MlflowClient, since: float) -> list[Night]:
    found, end = [], time.monotonic() + FILES_SECONDS
    for run in _runs(client, f"tags.{CATEGORIES} LIKE '%'", since=since, limit=MAX_NIGHTS):
        results: Mapping[str, Mapping[str, str]] = {}
        if time.monotonic() < end:
            with suppress(
                MlflowException, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError
            ):  # it has none, or a damaged one
                results = results_of(_text(client, run, f"{NIGHT_FOLDER}/{NIGHT}"))
        status, names = str(run.info.status), names_of(run.data.tags)
        found.append(Night(run.info.start_time / 1000, status, names, results))
    return found[::-1]


def _text(client: mlflow.MlflowClient, run: Run, place: str) -> str:
    return str(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{place}"))


def _counted(metrics: Mapping[str, float], name: str, total: str) -> tuple[int, int] | None:
    """So many of so many; None where either is not there, or no number."""
    count, of = metrics.get(name, math.nan), metrics.get(total, math.nan)
    return (int(count), int(of)) if math.isfinite(count) and math.isfinite(of) and of > 0 else None
