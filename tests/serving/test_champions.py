"""The server follows the champion: under load, and not to a damaged one."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pipelines.registry import aliases, store
from pipelines.tracking.sync import sync
from tests.registry.kit import NAME, checkpoint, register
from tests.serving.kit import Server, plate, serving

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("folder"), pytest.mark.filterwarnings("ignore")]


def test_a_new_champion_replaces_the_old_one_under_load_and_no_request_is_lost(folder: Path) -> None:
    for number in (1, 2):
        register(checkpoint(folder / f"{number}", number))
    sync()
    client = store.connect()
    aliases.crown(client, "plates", "1")
    with serving(folder, "--model", f"models:/{NAME}@champion", "--watch", "0.5") as server:
        seen: list[tuple[int, str]] = []
        ending = threading.Event()

        def ask() -> None:
            with httpx.Client(timeout=60) as own:
                while not ending.is_set():
                    answer = own.post(f"{server.address}/score", content=plate(1))
                    seen.append((answer.status_code, answer.json().get("model", "")))

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for one in clients:
            one.start()
        aliases.crown(client, "plates", "2")
        end = time.monotonic() + 200
        while not any("/2" in model for _, model in list(seen)[-5:]) and time.monotonic() < end:
            time.sleep(0.5)
        ending.set()
        for one in clients:
            one.join(120)
        assert {status for status, _ in seen} == {200}
        models = [model for _, model in seen]
        first_new = next(i for i, model in enumerate(models) if "/2" in model)
        assert all("/1" in model for model in models[: max(0, first_new - 4)])
        assert "torch" not in {
            Path(m.path).name.split(".")[0] for m in psutil.Process(server.process.pid).memory_maps()
        }
        assert json.loads(httpx.get(f"{server.address}/readyz").text)["not_replaced"] == {}


def test_a_damaged_champion_is_not_served(folder: Path) -> None:
    register(checkpoint(folder / "1", 1))
    sync()
    client = store.connect()
    aliases.crown(client, "plates", "1")
    with serving(folder, "--model", f"models:/{NAME}@champion", "--watch", "0.5") as server:
        register(checkpoint(folder / "2", 2))
        sync()
        (weights,) = set((folder / ".mlflow/artifacts").rglob("flow.safetensors")) - first_weights(folder)
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        aliases.crown(client, "plates", "2")
        end = time.monotonic() + 100
        while not (kept := state(server)["not_replaced"]) and time.monotonic() < end:
            time.sleep(0.5)
        assert "its sha256 is" in kept["plates"]
        assert server.score(plate(1)).json()["model"].startswith(f"{NAME}/1")


def first_weights(folder: Path) -> set[Path]:
    client = store.connect()
    version = aliases.get_version(client, "plates", "1")
    place = aliases.files_of(client, version)
    assert place
    return {p for p in (folder / ".mlflow/artifacts").rglob("flow.safetensors") if Path(place).name in p.parts}


def state(server: Server) -> dict[str, Any]:
    return dict(httpx.get(f"{server.address}/readyz", timeout=10).json())
