"""Processes that log a run, an MLflow server, and what the store says of them."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import mlflow

SCRIPT = """
import math, os, sys, time
from pipelines.tracking import runs
from pipelines.core.stage import exit_code

def work():
    with runs.new_run("{name}", tags={{"category": "{name}"}}) as run:
        run.log_metrics({{"loss": 1.5}}, step=1)
        {body}

sys.exit(exit_code(work))
"""


def start(name: str, body: str, **environment: str) -> subprocess.Popen[str]:
    code = SCRIPT.format(name=name, body=textwrap.indent(textwrap.dedent(body), 8 * " ").lstrip())
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )


def statuses() -> dict[str, str]:
    runs = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    return {run.data.tags["category"]: run.info.status for run in runs}


def start_server(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI")
    with (folder / "server.log").open("wb") as said:
        server = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.3)
    raise AssertionError((folder / "server.log").read_text()[-2000:])
