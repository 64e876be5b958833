"""Small images and models, drawn in the test: no network, no weights, no GPU."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

# Read by the tools at import: nothing leaves this machine, and a busy one may start slowly.
os.environ |= {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.pop("MLFLOW_TRACKING_URI", None)
# A job in the background ignores SIGINT, what nohup starts SIGHUP: what tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read at its import: kernels for GPUs then run as Python, on the CPU

from fastflow.config import FastFlowConfig
from fastflow.files import file_sha256
from fastflow.index import list_category
from fastflow.model import FastFlow
from fastflow.trained import TrainedDetector
from pipelines.cli.app import app

ROOT = Path(__file__).parent.parent
SIZE = 64
THRESHOLD = {"image": 0.5, "pixel": 0.6, "low": 0.1}
FULL = os.environ.get("FASTFLOW_FULL") == "1"
"""Whether tests of chance make all their trials: 50 kills where CI makes 16; docs/reliability.md."""

as_shipped = pytest.mark.skipif(
    "  root: data/demo " not in (ROOT / "params.yaml").read_text(),
    reason="params.yaml names images of your own; this test is of the one that is shipped",
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test's seed, store and log are not those that the test before it left."""
    torch.manual_seed(0)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    for handler in logging.root.handlers[:]:  # of a command run here: its stream ends with the test
        if type(handler) is logging.StreamHandler:
            logging.root.removeHandler(handler)


def fastflow(*words: object) -> int:
    """The exit code of this command, run in this process; the environment is afterwards as it was."""
    with patch.dict(os.environ), pytest.raises(SystemExit) as ended:
        app([str(word) for word in words], prog_name="fastflow")
    return int(str(ended.value.code))


def of_a_user(folder: Path) -> dict[str, str]:
    """Variables of a process that commits, finds this environment's commands first, and the code in `folder`. The store
    is not that of a test before: MLflow leaves its address in this process's environment."""
    identity = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return own | identity | {"PATH": path, "PYTHONPATH": str(folder)}


def until(done: Callable[[], bool], process: "subprocess.Popen[Any] | None" = None, *, seconds: float = 120) -> None:
    """Waits for something to be so; a process that ends before it is, and time, are failures."""
    end = time.monotonic() + seconds
    while not done():
        assert process is None or process.poll() is None or done(), f"it ended with {process.returncode}"
        assert time.monotonic() < end, f"not so within {seconds:g} s"
        time.sleep(0.05)


def read_until(fd: int, word: bytes, *, seconds: float = 120) -> bytes:
    """What a pipe or a terminal gives, up to the word and what came with it; its end and time are failures."""
    said, end = b"", time.monotonic() + seconds
    while word not in said:
        assert select.select([fd], [], [], max(0, end - time.monotonic()))[0], said.decode()
        part = os.read(fd, 4096)
        assert part, said.decode()
        said += part
    return said


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def draw_square(*, seed: int, defect: bool, size: int = SIZE) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A grey noisy plate (H, W, 3), with a bright square on it if `defect`, and the square's mask (H, W)."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(110, 6, (size, size, 1)).repeat(3, axis=2)
    mask = np.zeros((size, size), bool)
    if defect:
        top, left = rng.integers(8, size - 24, 2)
        mask[top : top + 14, left : left + 14] = True
        pixels[mask] += 120
    return pixels.clip(0, 255).astype(np.uint8), mask


def write_plates(folder: Path, *, num_train: int = 8, num_test: int = 4, size: int = SIZE) -> Path:
    """A category in MVTec layout: train/good, test/good, test/square with masks."""
    for split, kind, count in (("train", "good", num_train), ("test", "good", num_test), ("test", "square", num_test)):
        (folder / split / kind).mkdir(parents=True)
        for i in range(count):
            seed = i + 1000 * (split == "test") + 2000 * (kind == "square")
            pixels, mask = draw_square(seed=seed, defect=kind == "square", size=size)
            Image.fromarray(pixels).save(folder / split / kind / f"{i:03}.png")
            if kind == "square":
                (folder / "ground_truth/square").mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(folder / f"ground_truth/square/{i:03}_mask.png")
    return folder


def hashed_index(folder: Path) -> pd.DataFrame:
    """The index of a category's folder, as `prepare` writes it where nothing is found."""
    index = list_category(folder)
    return index.assign(sha256=[file_sha256(folder / path) for path in index["image_path"]])


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    return write_plates(tmp_path / "plates")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory with a store of its own, to which nothing is sent until the test says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    return tmp_path


def tiny_config(**changes: object) -> FastFlowConfig:
    values: dict[str, object] = {
        "backbone": "resnet18",
        "layers": (1, 2),
        "image_size": (SIZE, SIZE),
        "flow_steps": 2,
    }
    return FastFlowConfig.from_dict(values | changes)


def detector_of(model: FastFlow) -> TrainedDetector:
    return TrainedDetector(model=model, threshold=THRESHOLD)


@pytest.fixture
def tiny_model() -> FastFlow:
    return FastFlow(tiny_config())


def shake(module: torch.nn.Module, *, scale: float = 0.3) -> None:
    """Moves parameters away from their initial values: at the start a flow is nearly the identity."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
