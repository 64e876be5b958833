"""Photograph Prefect's pages of a retraining, docs/prefect_*.png, for docs/scheduling.md; then the page of the scoring
server with one of the models, docs/serve_page.png, for docs/serving.md.

The retraining is real: the last commit, in a clone in a temporary folder, its services up, on three small demo
categories. Needs Chromium, in PATH or named by CHROMIUM.
Run as: python docs/make_service_screenshots.py         (five minutes on two idle CPU cores)
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
from chromium import Page
from make_screenshots import ROOT, answers, environment, free_port, save, write_params
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from pipelines.orchestration.service_settings import read_environment

CATEGORIES = ["weave", "label", "gear"]
SMALL = {
    "data": {"categories": CATEGORIES},
    "demo": {"categories": CATEGORIES, "image_size": 128, "num_train": 32, "num_good": 8, "num_per_defect": 4},
    "train": {"epochs": 8},
}
SERVED = "label"
NIGHT = "retrain-all/nightly"
TIMEOUT_SECONDS, STILL_SECONDS = 600, 4
TAB = "[...document.querySelectorAll('*')].find(one => !one.children.length && one.textContent.trim() == 'Artifacts')"


@contextmanager
def services(folder: Path) -> Iterator[dict[str, str]]:
    """The clone's services, and what their clients must know."""
    own = {name: value for name, value in environment(folder).items() if name != "FASTFLOW_SYNC"}

    def run(*command: str) -> None:
        subprocess.run([sys.executable, "-m", "pipelines.cli.operations", *command], cwd=folder, env=own, check=True)

    run("up", "--prefect-port", str(free_port()), "--mlflow-port", str(free_port()))
    try:
        with chdir(folder):
            yield read_environment()
    finally:
        run("down")


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not what():
        assert time.monotonic() < end, f"not within {TIMEOUT_SECONDS} s"
        time.sleep(1)


def artifacts(client: SyncPrefectClient) -> dict[str, Any]:
    return {a.key: a.data for a in client.read_artifacts(limit=200) if a.key}


def half_done(client: SyncPrefectClient) -> bool:
    """Whether the first category has its results, and the second one's training is in the middle."""
    shown = artifacts(client)
    return f"metrics-{CATEGORIES[0]}" in shown or (
        f"mlflow-{CATEGORIES[0]}" in shown and float(shown.get(f"training-{CATEGORIES[1]}") or 0) > 30
    )


def photograph(folder: Path, settings: Mapping[str, str]) -> None:
    """The run while it trains, with its bars; the same when it is done, with what came of it; the table of results."""
    pages = settings["PREFECT_API_URL"].removesuffix("/api")
    login = base64.b64encode(settings["PREFECT_API_AUTH_STRING"].encode()).decode()
    script = f"localStorage.setItem('prefect-password', {json.dumps(login)})"
    with get_client(sync_client=True) as client, Page(folder / "browser", script=script, seconds=900) as page:
        run = client.create_flow_run_from_deployment(client.read_deployment_by_name(NIGHT).id)
        address = f"{pages}/runs/flow-run/{run.id}"
        until(lambda: half_done(client))
        open_artifacts(page, address, "training-label", height=1250)
        save(page.picture(still=False), ROOT / "docs/prefect_run.png")
        page.open("about:blank", width=1400, height=100)  # the moving timeline costs a core
        until(lambda: ended(client, run.id))
        open_artifacts(page, address, "summary", height=1420)
        save(page.picture(still=False), ROOT / "docs/prefect_done.png")
        (table,) = (a for a in client.read_artifacts(limit=200) if a.key == "results")
        page.open(f"{pages}/artifacts/artifact/{table.id}", width=1400, height=620)
        page.wait("document.body?.innerText.includes('image_auroc')")
        save(page.picture(still=False), ROOT / "docs/prefect_results.png")


def open_artifacts(page: Page, address: str, key: str, *, height: int) -> None:
    """A run's page with its tab of artifacts, once that shows one of them."""
    page.open(address, width=1400, height=height)
    page.wait(TAB)
    page.value(f"{TAB}.click()")
    page.wait(f"document.body.innerText.includes({json.dumps(key)})")
    time.sleep(STILL_SECONDS)  # the timeline finds its place


def ended(client: SyncPrefectClient, run: UUID) -> bool:
    state = client.read_flow_run(run).state
    return state is not None and state.is_final()


@contextmanager
def scoring_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "pipelines.cli.app", "serve", "--model", SERVED, "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder))
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def photograph_verdict(folder: Path, address: str) -> None:
    """The page, after the first defective test image was given to it."""
    index = pd.read_csv(folder / "data/prepared" / f"{SERVED}.csv")
    defective = index[(index["split"] == "test") & (index["gt_label"] == 1)]["image_path"].iloc[0]
    with Page(folder.parent / "other", script="", seconds=120) as page:
        page.open(address, width=900, height=900)
        page.wait("document.readyState == 'complete'")
        page.choose_file("#file", folder / "data/demo" / SERVED / defective)
        page.wait("!document.querySelector('#result').hidden && document.querySelector('#heat').complete")
        save(page.picture(), ROOT / "docs/serve_page.png")


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / "fastflow"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        write_params(folder, SMALL, flow_steps=4)
        with services(folder) as settings:
            own = {
                PREFECT_API_URL: settings["PREFECT_API_URL"],
                PREFECT_API_AUTH_STRING: settings["PREFECT_API_AUTH_STRING"],
            }
            with temporary_settings(own):
                photograph(Path(scratch), settings)
        with scoring_server(folder) as address:
            photograph_verdict(folder, address)


if __name__ == "__main__":
    os.environ["DO_NOT_TRACK"] = "true"
    main()
