"""What a checkpoint folder says of itself, and whether it is still what was written: no PyTorch is needed to know."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fastflow.errors import BadData
from fastflow.files import file_sha256, write_text

CONFIG, FLOW, BACKBONE = "config.json", "flow.safetensors", "backbone.safetensors"
SEAL = "config_sha256"


class BadCheckpoint(BadData):
    """A checkpoint folder that cannot be trusted; the message names the file and what is wrong."""


def sealed(config: dict[str, Any]) -> str:
    """config.json's text, with the hash of all the rest of it."""
    config = {key: value for key, value in config.items() if key != SEAL}
    return json.dumps(config | {SEAL: _seal(config)}, indent=2) + "\n"


def _seal(config: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as it is. Raises BadCheckpoint if it is absent or not a checkpoint's."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
        config["model"], config["sha256"]
        seal = config.pop(SEAL)
    except FileNotFoundError as error:
        raise BadCheckpoint(f"{folder} is not a checkpoint: it has no {CONFIG}; train the category first") from error
    except (ValueError, TypeError, KeyError) as error:
        raise BadCheckpoint(f"{path} is damaged ({error!r}); restore it or train again") from error
    assert isinstance(config, dict)
    if seal != _seal(config):
        raise BadCheckpoint(f"{path} is damaged: its content is not what was written; restore it or train again")
    return config


def weights_id(config: dict[str, Any]) -> str:
    """The beginning of the flow's hash, from config.json: a threshold does not change it."""
    return str(config["sha256"][FLOW])[:12]


def write_threshold(folder: Path, threshold: dict[str, Any]) -> None:
    """Replaces the threshold in config.json at once; the weights stay as they are.

    Raises:
        BadCheckpoint: as `read_config`.
    """
    write_text(folder / CONFIG, sealed(read_config(folder) | {"threshold": threshold}))


def read_sealed(folder: Path, name: str) -> bytes:
    """A file beside the weights, as it was written. Raises BadCheckpoint if it is absent or another."""
    verify(folder / name, read_config(folder)["sha256"].get(name))
    return (folder / name).read_bytes()


def verify(path: Path, expected: str | None) -> None:
    """Raises BadCheckpoint if a file is absent or has another sha256 than config.json says."""
    if not path.is_file():
        raise BadCheckpoint(f"{path} is missing; restore it or train again")
    got = file_sha256(path)
    if got != expected:
        raise BadCheckpoint(
            f"{path} is damaged: its sha256 is {got}, recorded was {expected}; restore it or train again"
        )
