"""A line in small: a model whose score is the brightness, pictures that say which they are, a receiver that fails."""

import io
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from fastflow.export.about import write_about
from fastflow.frame import Frame
from tests.conftest import THRESHOLD

SIDE = 8
KEY = "a secret of 24 letters.."


def write_model(folder: Path, *, category: str = "plates") -> Path:
    """An export: the anomaly map is the grey value over 255, the score its mean."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "white"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "channels"], ["anomaly_map"], keepdims=1),
        helper.make_node("ReduceMean", ["anomaly_map", "pixels"], ["pred_score"], keepdims=0),
        helper.make_node("Greater", ["pred_score", "threshold"], ["above"]),
        helper.make_node("Cast", ["above"], ["pred_label"], to=TensorProto.INT64),
    ]
    constants = [
        helper.make_tensor("white", TensorProto.FLOAT, [], [255]),
        helper.make_tensor("threshold", TensorProto.FLOAT, [], [THRESHOLD["image"]]),
        helper.make_tensor("channels", TensorProto.INT64, [1], [1]),
        helper.make_tensor("pixels", TensorProto.INT64, [3], [1, 2, 3]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["b", 3, SIDE, SIDE])
    outputs = [
        helper.make_tensor_value_info("pred_score", TensorProto.FLOAT, ["b"]),
        helper.make_tensor_value_info("pred_label", TensorProto.INT64, ["b"]),
        helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["b", 1, SIDE, SIDE]),
    ]
    graph = helper.make_graph(nodes, "brightness", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    write_about(
        folder, runtime="onnx", precision="fp32", category=category, model="brightness", frame=Frame(SIDE, SIDE),
        threshold=THRESHOLD,
    )  # fmt: skip
    return folder


def grey_of(number: int) -> int:
    return number % 256


def png(number: int) -> bytes:
    """A grey picture; other numbers have other bytes."""
    file = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), grey_of(number), np.uint8)).save(file, "PNG", dpi=(number + 1, 1))
    return file.getvalue()


class Line(NamedTuple):
    process: "subprocess.Popen[bytes]"
    log: Path

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def watching(folder: Path, *options: str, **environment: str) -> Iterator[Line]:
    """A watcher of plates in `folder`/in; killed at the end, if it still runs."""
    command = [sys.executable, "-m", "pipelines.cli.app", "watch", "plates", "in", "--model", "model", *options]
    log = folder / "log.txt"
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        yield Line(process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def lines(folder: Path) -> list[dict[str, Any]]:
    """The messages in the files of JSON lines, one file a day, oldest first; an unfinished line is left out."""
    found = []
    for path in sorted((folder / "production/line").glob("*.jsonl")):
        found += [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    return found


class Receiver:
    """Takes webhooks at 127.0.0.1. `faults`: what it does instead of a right answer, by the number of the request."""

    def __init__(self, faults: dict[int, str] | None = None) -> None:
        self.faults = faults or {}
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.receiver = self
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/verdicts"


class _Server(ThreadingHTTPServer):
    receiver: Receiver
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: socketserver.BaseServer

    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.requests.append((dict(self.headers), body))
        fault = receiver.faults.get(len(receiver.requests), "")
        if fault in ("", "lost"):
            receiver.taken.append(json.loads(body))
        match fault:
            case "":
                self._answer(204)
            case "lost":  # it has it, and the answer does not arrive
                self.connection.close()
            case "garbage":
                self.wfile.write(b"\0\xffSSH-2.0\r\n\r\n")
            case "slow":
                self.wfile.write(b"HTTP/1.1 ")
                time.sleep(3)
            case "trickle":
                for byte in b"HTTP/1.1 200 " + b"x" * 1000:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
            case "huge 500" | "huge 302":
                self._answer(int(fault[-3:]), length=10**12)
                for _ in range(10_000):
                    self.wfile.write(b"x" * 100_000)
            case _:
                self._answer(int(fault))

    def _answer(self, status: int, length: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Location", "/elsewhere")
        self.send_header("Set-Cookie", "session=1")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not to stderr."""
