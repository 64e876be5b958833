"""The scoring service as a process of its own, and images to ask it about."""

import io
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
from PIL import Image

from fastflow.frame import Frame, Framed
from pipelines.serving.decoding import Decoders
from pipelines.serving.uploads import decode
from tests.conftest import SIZE, draw_square, free_port


class DecodersHere(Decoders):
    """Decodes in this process: for tests of what lies around it."""

    def __init__(self, *, max_pixels: int) -> None:
        self.max_pixels = max_pixels

    async def framed(self, content: bytes, frame: Frame) -> Framed:
        return decode(content, frame, self.max_pixels)


class Server(NamedTuple):
    address: str
    process: subprocess.Popen[bytes]

    def score(self, content: bytes, **query: str) -> httpx.Response:
        return httpx.post(f"{self.address}/score", content=content, params=query, timeout=60)


@contextmanager
def serving(folder: Path, *arguments: str, limit_files: int | None = None, **environment: str) -> Iterator[Server]:
    """A server; `limit_files`: as many as it may open."""
    port = free_port()
    own = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/.mlflow/mlflow.db"} | environment
    with (folder / "serve.log").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli.app", "serve", "--port", str(port), *arguments],
            env=os.environ | own, stdout=said, stderr=said, start_new_session=True,
            preexec_fn=None if limit_files is None else partial(limited, limit_files),
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        end = time.monotonic() + 240
        while not answers(server.address):
            assert process.poll() is None, (folder / "serve.log").read_text()[-3000:]
            assert time.monotonic() < end, (folder / "serve.log").read_text()[-3000:]
            time.sleep(0.3)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(120)


def limited(files: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def plate(seed: int, *, defect: bool = False, kind: str = "PNG", size: int = SIZE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_square(seed=seed, defect=defect, size=size)[0]).save(file, kind)
    return file.getvalue()
