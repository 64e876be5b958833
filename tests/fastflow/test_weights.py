"""ImageNet weights as the Hugging Face hub gives them, by a server here: the real download, and never a pickle."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import timm
from safetensors.torch import save

from fastflow.backbone import Backbone
from fastflow.weights import load_weights
from tests.conftest import ROOT, free_port


class Hub(BaseHTTPRequestHandler):
    """Answers for a model's files as the Hugging Face hub does; `asked` are the paths that were wanted."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> bytes:
        self.asked.append(self.path)
        content = self.files.get(self.path.rpartition("/")[2], b"")
        self.send_response(200 if content else 404)
        headers = {"ETag": '"1"', "X-Repo-Commit": "0" * 40} if content else {"X-Error-Code": "EntryNotFound"}
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        return content

    def do_GET(self) -> None:
        self.wfile.write(self.do_HEAD())

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.files, Hub.asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


LOAD = """
from fastflow.backbone import Backbone
from fastflow.weights import load_weights
backbone = Backbone("test_resnet.r160_in1k", layers=(1,), image_size=(64, 64))
try:
    load_weights(backbone, "imagenet")
    print(backbone.body.state_dict()["conv1.0.weight"].sum().item())
except ValueError as error:
    print(error)
"""


def load_from(hub: str, home: Path) -> str:
    """In a process of its own: the hub's address is read at import."""
    variables = {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", LOAD]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow  # two processes
def test_imagenet_weights_come_from_the_hub_once_and_then_from_the_cache(hub: str, tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", pretrained=False).state_dict()
    Hub.files["model.safetensors"] = save(state)
    expected = state["conv1.0.weight"].sum().item()
    assert float(load_from(hub, tmp_path)) == pytest.approx(expected)
    assert Hub.asked
    assert {path.rpartition("/")[2] for path in Hub.asked} == {"model.safetensors"}
    gone = f"http://127.0.0.1:{free_port()}"
    assert float(load_from(gone, tmp_path)) == pytest.approx(expected)


@pytest.mark.slow  # a process of its own
def test_a_hub_with_a_pickle_alone_is_not_asked_for_it(hub: str, tmp_path: Path) -> None:
    Hub.files["pytorch_model.bin"] = b"a pickle"
    said = load_from(hub, tmp_path)
    assert "the Hugging Face hub did not give them" in said
    assert "set weights to a local .safetensors file" in said
    assert not any(path.endswith(".bin") for path in Hub.asked)


def test_weights_that_timm_offers_as_a_pickle_alone_are_refused() -> None:
    backbone = Backbone("legacy_seresnet18.in1k", layers=(1,), image_size=(64, 64))
    with pytest.raises(ValueError, match="as a pickle alone"):
        load_weights(backbone, "imagenet")
