"""Retrainings that were asked for and have not ended, as Prefect's server knows them."""

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipelines.core.stage import Failed, without_secrets
from pipelines.orchestration.service_settings import ENVIRONMENT, read_environment

ADDRESS = "PREFECT_API_URL"
FLOWS = ("retrain", "retrain-all")
SECONDS, MAX_RUNS = 5.0, 200


class Requests(NamedTuple):
    """`by_category`: states in words, such as `queued since 02:10`; `of_all`: those of retrainings of all categories;
    `problem`: why that is not known."""

    by_category: Mapping[str, Sequence[str]]
    of_all: Sequence[str]
    problem: str = ""


def use_services() -> None:
    """The settings of `make up` where they are this project's and the environment has none: read before Prefect is."""
    try:
        services = read_environment()
    except (Failed, OSError, ValueError, IndexError):
        return
    if services.get("FASTFLOW_PROJECT") == str(Path.cwd()):
        for name, value in services.items():
            os.environ.setdefault(name, value)


def open_requests(*, without: Sequence[str] = ()) -> Requests:
    """Asks the server, for seconds at most. `without`: ids of runs that are left out."""
    address = os.environ.get(ADDRESS, "")
    if not address:
        hint = "" if ENVIRONMENT.is_file() else " (make up starts one)"
        return Requests({}, [], f"Open requests are unknown: there is no Prefect server{hint}.")
    shown = without_secrets(address)
    if not listens(address):
        return Requests({}, [], f"Open requests are unknown: Prefect's server {shown} does not answer.")
    try:
        return _sorted(_read(address), without)
    except Exception as error:  # of httpx, of Prefect, of what answers in its place
        return Requests({}, [], f"Open requests are unknown: Prefect's server {shown} failed ({type(error).__name__}).")


def listens(address: str) -> bool:
    """Whether something accepts connections at an http address: clients wait long for one that is away."""
    try:
        found = urlsplit(address)
        where = (found.hostname or "", found.port or (443 if found.scheme == "https" else 80))
        with socket.create_connection(where, timeout=SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _read(address: str) -> list[Any]:
    """By a client of this address, whatever Prefect's settings in this process are: it starts no server of its own."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.filters import FlowRunFilterStateType as OfType
    from prefect.client.schemas.objects import StateType as Type
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    types = [Type.RUNNING, Type.PENDING, Type.PAUSED, Type.SCHEDULED, Type.CANCELLING]
    login = os.environ.get("PREFECT_API_AUTH_STRING")
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        SyncPrefectClient(address, auth_string=login, httpx_settings={"timeout": SECONDS}) as client,
    ):
        return client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=OfType(any_=types))),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=MAX_RUNS,
        )


def _sorted(runs: Sequence[Any], without: Sequence[str]) -> Requests:
    """What the schedule will start later is no request."""
    now, by_category = datetime.now(UTC), dict[str, list[str]]()
    of_all: list[str] = []
    for run in runs:
        begun = run.start_time or run.expected_start_time
        later = run.state_type == "SCHEDULED" and run.auto_scheduled and begun and begun > now
        if later or str(run.id) in without:
            continue
        words = str(run.state_name or "open").casefold()
        words += f" since {begun.astimezone():%d %b, %H:%M}" if begun and begun <= now else ""
        named = run.parameters.get("categories") or (
            [run.parameters["category"]] if "category" in run.parameters else []
        )
        for category in named:
            by_category.setdefault(str(category), []).append(words)
        if not named:
            of_all.append(words)
    return Requests(by_category, of_all)
