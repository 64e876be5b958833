"""Photograph MLflow's pages of three runs: docs/mlflow_runs.png and docs/mlflow_compare.png, for docs/tracking.md.

The runs are real: the last commit's stages, in a clone in a temporary folder, on a small demo category.
Needs Chromium, in PATH or named by CHROMIUM.
Run as: python docs/make_screenshots.py         (three minutes on two idle CPU cores)
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from chromium import Page
from PIL import Image

from pipelines.registry import comparison_view

ROOT = Path(__file__).resolve().parent.parent
CATEGORY = "weave"
SMALL = {
    "data": {"categories": [CATEGORY]},
    "demo": {"categories": [CATEGORY], "image_size": 128, "num_train": 32},
    "train": {"epochs": 5},
}
COMPARED = ({"seed": 0, "flow_steps": 8}, {"seed": 0, "flow_steps": 4}, {"seed": 1, "flow_steps": 8})
OFF = ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS")
SERVER_SECONDS = 180
EXPERIMENT_ID = "1"  # the first one of a store
GREETED = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"  # no visitor's first page
SIXTH_METRIC = "document.querySelectorAll('.ReactVirtualized__Grid a')[5].parentElement"  # its box shows six and a half


def environment(folder: Path) -> dict[str, str]:
    """Nothing leaves this machine, and no setting of this shell comes in."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "FASTFLOW_", "PREFECT_", "DVC_"))}
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "FASTFLOW_SYNC": "later",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc/site-cache"),
    }
    return kept | own | dict.fromkeys(OFF, "true")


def make_runs(folder: Path) -> None:
    """Three trainings and evaluations on the same images."""

    def run(*command: str) -> None:
        subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment(folder), check=True)

    write_params(folder, SMALL, **COMPARED[0])
    run("dvc", "repro", "--single-item", f"draw@{CATEGORY}", f"prepare@{CATEGORY}")
    for settings in COMPARED:
        write_params(folder, SMALL, **settings)
        run("dvc", "repro", "--single-item", f"train@{CATEGORY}", f"evaluate@{CATEGORY}")
    run("pipelines.cli.app", "sync")


def write_params(folder: Path, small: dict[str, dict[str, Any]], *, flow_steps: int, seed: int = 0) -> None:
    """params.yaml with the changes of `small`, section by section, and a model for images of 128 pixels."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"seed": seed}
    for section, changes in small.items():
        values[section] |= changes
    values["model"]["overrides"] = {"image_size": [128, 128], "flow_steps": flow_steps}
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of an MLflow server on the folder's store."""
    port = free_port()
    store = ["--backend-store-uri", "sqlite:///.mlflow/mlflow.db", "--artifacts-destination", ".mlflow/artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen([*command, *store], cwd=folder, env=environment(folder), start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + SERVER_SECONDS
        while not answers(f"{address}/health"):
            assert process.poll() is None, "the MLflow server ended"
            assert time.monotonic() < end, f"no answer from the MLflow server in {SERVER_SECONDS} s"
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def run_ids(address: str) -> list[str]:
    """The experiment's runs, the oldest first."""
    body = json.dumps({"experiment_ids": [EXPERIMENT_ID], "order_by": ["attributes.start_time"]}).encode()
    asked = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return [run["info"]["run_id"] for run in json.load(answer)["runs"]]


def photograph_runs(page: Page, address: str) -> bytes:
    """The table of runs in the saved view, with the side bar and the notice of a saved view folded away."""
    page.open(f"{address}/{comparison_view.LINK.format(experiment_id=EXPERIMENT_ID)}", width=1600, height=400)
    group_and_runs = 1 + len(COMPARED)
    page.wait(f"document.querySelectorAll('.ag-center-cols-container [role=row]').length == {group_and_runs}")
    page.wait("document.querySelector('[aria-label=\"Hide banner\"]')")
    page.value("document.querySelector('[aria-label=\"Hide banner\"]').click()")
    page.value("document.querySelector('[aria-label=\"Toggle sidebar\"]').click()")
    return page.picture()


def photograph_comparison(page: Page, address: str) -> bytes:
    """What differs between the runs; in the plot three metrics that matter, instead of the first one logged."""
    runs, experiments = json.dumps(run_ids(address)), json.dumps([EXPERIMENT_ID])
    link = f"#/compare-runs?runs={runs}&experiments={experiments}&workflowType=machine_learning"
    page.open(f"{address}/{link.replace(' ', '')}", width=1400, height=2400)
    page.wait("document.querySelectorAll('[role=switch]').length == 3")
    page.wait("document.querySelector('.js-plotly-plot .main-svg')")
    page.value("document.querySelectorAll('[role=switch]').forEach(one => one.click())")  # differences only
    page.value("document.querySelectorAll('.CompareRunView input[role=combobox]')[1].focus()")
    page.press("Backspace")
    for metric in ("loss", "image_auroc", "aupro"):
        page.type(metric)
    page.wait("document.body.innerText.includes('Metrics:\\nloss\\nimage_auroc\\naupro\\nClear All')")
    page.value("document.activeElement.blur()")
    page.picture()
    return page.picture(height=int(page.value(f"{SIXTH_METRIC}.getBoundingClientRect().bottom")))


def save(png: bytes, path: Path) -> None:
    """In 256 colours, to be small."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fastflow"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        make_runs(folder)
        with server(folder) as address, Page(Path(scratch) / "browser", script=GREETED, seconds=400) as page:
            save(photograph_runs(page, address), ROOT / "docs/mlflow_runs.png")
            save(photograph_comparison(page, address), ROOT / "docs/mlflow_compare.png")


if __name__ == "__main__":
    main()
