"""All categories on one page: fastflow fleet, and after each retraining and drift check.

Writes fleet.html from MLflow's registry and runs, Prefect's open runs and the files here. A server that is away costs
its part of the page, which says so, and seconds.
"""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastflow.files import write_text
from pipelines.core.params import Params, read_params
from pipelines.core.paths import DRIFT, FLEET
from pipelines.core.stage import ServerAway, log, without_secrets
from pipelines.core.tracking_uri import tracking_uri
from pipelines.monitoring.fleet import Facts
from pipelines.monitoring.fleet_page import Links, render
from pipelines.orchestration.open_requests import ADDRESS, listens, open_requests, use_services
from pipelines.registry import store
from pipelines.registry.standing import Standing, standings
from pipelines.tracking.history import Check, History, history, unsent_nights

DAYS = 60  # of evaluations; the strip shows fewer


def write_fleet(params: Params, *, without: Sequence[str] = ()) -> Path:
    """Writes fleet.html; returns it. `without`: ids of Prefect's runs that are about to end."""
    use_services()
    found, notes, experiment = _from_mlflow()
    standing, past = found if found else (None, History([], {}, {}))
    requests = open_requests(without=without)
    notes += [requests.problem] * bool(requests.problem)
    notes += [f"A retraining of all categories is {words}." for words in requests.of_all]
    categories = params.data.categories
    facts = Facts(
        categories=categories,
        standings=standing,
        nights=[*past.nights, *unsent_nights()],
        evaluations=past.evaluations,
        checks={name: check for name in categories if (check := _check(name, past))},
        requests=requests.by_category,
    )
    write_text(FLEET, render(facts, params.gate, notes=notes, links=_links(experiment)))
    log.info("wrote %s: %d categories", FLEET, len(categories))
    for note in notes:
        log.info("%s", note)
    return FLEET


def show_fleet(flow_run: str | None) -> None:
    """As `write_fleet`, at the end of a flow: what fails here fails no night."""
    try:
        write_fleet(read_params(), without=[flow_run] if flow_run else [])
    except Exception as error:
        log.warning("%s was not written: %s: %s", FLEET, type(error).__name__, error)


def _from_mlflow() -> tuple[tuple[dict[str, Standing], History] | None, list[str], str]:
    """What MLflow knows, or None and why not; and its experiment."""
    try:
        uri = tracking_uri()
        if str(uri).startswith("http") and not listens(str(uri)):
            raise ServerAway(f"MLflow's server {without_secrets(str(uri))} does not answer")
        client = store.connect()
        with store.answering():
            return (
                (standings(client), history(client, since=time.time() - 86400 * DAYS)),
                [],
                store.experiment_id(client),
            )
    except (ServerAway, ValueError) as error:
        return None, [f"Champions, nights and figures are unknown: {error}."], ""


def _links(experiment: str) -> Links:
    mlflow = without_secrets((tracking_uri() or "").rstrip("/"))
    prefect = without_secrets(os.environ.get(ADDRESS, "").rstrip("/").removesuffix("/api"))
    return Links(mlflow=mlflow if mlflow.startswith("http") else "", prefect=prefect, experiment=experiment)


def _check(category: str, past: History) -> Check | None:
    """The last drift check: of MLflow, or the file that it left here, whichever is newer."""
    known = past.checks.get(category, [])[-1:]
    file = DRIFT / f"{category}.json"
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        left: dict[str, Any] = json.loads(file.read_text())
        known.append(Check(file.stat().st_mtime, str(left["kind"]), str(left["sentence"])))
    return max(known, key=lambda check: check.start, default=None)
