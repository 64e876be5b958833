"""The champion behind MLflow's own scoring server: a real process, asked over HTTP."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from fastflow.sealed import write_threshold
from pipelines.registry import aliases, store
from pipelines.registry.served_model import load_served
from pipelines.tracking.sync import sync
from tests.conftest import THRESHOLD, draw_square, free_port
from tests.registry.kit import NAME, checkpoint, register

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


def drawn(seed: int, *, defect: bool) -> str:
    file = io.BytesIO()
    Image.fromarray(draw_square(seed=seed, defect=defect)[0]).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of `mlflow models serve` on the champion; it and its children are gone afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/.mlflow/mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # MLflow looks there for uvicorn
    }
    with (folder / "serve.log").open("wb") as said:
        server = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
    try:
        await_ping(f"http://127.0.0.1:{port}", server, folder / "serve.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(120)


def await_ping(address: str, server: subprocess.Popen[bytes], said: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/ping", timeout=10) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(said.read_text()[-3000:])


def asked(address: str, body: object) -> tuple[int, Any]:
    """Status and answer of one request to /invocations."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/invocations", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def framed(column: str, values: list[Any]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": [column], "data": [[value] for value in values]}}


NO_IMAGES = {  # what the answer says, and what was asked
    "image 'no image' is neither an existing file nor base64": framed("image", ["no image"]),
    "image '/etc/hostname' is neither an existing file nor base64": framed("image", ["/etc/hostname"]),
    "the image: not an image of the formats PNG": framed("image", [base64.b64encode(b"text").decode()]),
    "an image is a path, bytes, base64 or an array, got int": framed("image", [7]),
    "the input needs a column 'image' (path or base64), got ['picture']": framed("picture", [drawn(3, defect=False)]),
}


@pytest.mark.slow
def test_the_served_champion_scores_as_its_checkpoint_and_outlives_bad_requests(folder: Path) -> None:
    """Version 2, with another threshold, is there as well: it is the champion that answers."""
    images = [drawn(3, defect=False), drawn(4, defect=True), drawn(5, defect=True)]
    found = []
    for seed, threshold in ((1, 0.9), (2, 0.5)):
        path = checkpoint(folder / str(seed), seed)
        write_threshold(path, THRESHOLD | {"image": threshold})
        register(path)
        sync()
        found.append(load_served(path).predict(pd.DataFrame({"image": images})))
    champion, challenger = found
    assert champion["pred_label"].tolist() == [0, 1, 1] != challenger["pred_label"].tolist()
    aliases.crown(store.connect(), "plates", "1")
    bodies = {
        "dataframe_split": framed("image", images),
        "dataframe_records": {"dataframe_records": [{"image": image} for image in images]},
        "inputs": {"inputs": images},
        "instances": {"instances": images},
    }
    with serving(folder) as address:
        for form, body in bodies.items():
            status, answer = asked(address, body)
            assert status == 200, (form, answer)
            assert [p["pred_label"] for p in answer["predictions"]] == champion["pred_label"].tolist()
            scores = [p["pred_score"] for p in answer["predictions"]]
            assert scores == pytest.approx(champion["pred_score"].tolist(), rel=1e-5)
            assert scores != pytest.approx(challenger["pred_score"].tolist(), rel=1e-5)
        for sentence, body in NO_IMAGES.items():
            status, answer = asked(address, body)
            assert status == 400, answer
            assert sentence in answer["stack_trace"]
            assert asked(address, bodies["inputs"])[0] == 200
