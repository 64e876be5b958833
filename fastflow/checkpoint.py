"""A trained model on disk: tensors (safetensors) and JSON, never a pickle.

    config.json           config, sha256 of each file beside it and of itself, and what the trainer adds
    flow.safetensors      flows with their permutations, affines, normal range
    backbone.safetensors  the frozen backbone, cut at its last needed layer; equal for all categories

The folder holds all that prediction needs.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from fastflow.config import FastFlowConfig
from fastflow.errors import BadData
from fastflow.files import file_sha256, sync_folder, write_bytes, write_text
from fastflow.model import FastFlow

CONFIG, FLOW, BACKBONE = "config.json", "flow.safetensors", "backbone.safetensors"
SEAL = "config_sha256"
_PREFIX = "backbone."


class BadCheckpoint(BadData):
    """A checkpoint folder that cannot be trusted; the message names the file and what is wrong."""


def save_checkpoint(
    model: FastFlow, folder: Path, *, files: Mapping[str, bytes] | None = None, **about: Any
) -> dict[str, str]:
    """Writes the folder at once (a complete one replaces an older one) and returns the sha256 of its files.

    `files` are further ones to be kept beside the weights; `about`: JSON-able facts kept in config.json under their
    own names, such as category and seed.

    Raises:
        OSError: the disk is full; the older folder is as it was.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    contents = {
        FLOW: save({k: v for k, v in state.items() if not k.startswith(_PREFIX)}),
        BACKBONE: save({k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}),
        **(files or {}),
    }
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for name, content in contents.items():
            write_bytes(part / name, content)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        write_text(part / CONFIG, _sealed({"model": model.config.to_dict(), "sha256": hashes, **about}))
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(folder.parent)
    return hashes


def _sealed(config: dict[str, Any]) -> str:
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


def write_threshold(folder: Path, threshold: dict[str, Any]) -> None:
    """Replaces the threshold in config.json at once; the weights stay as they are.

    Raises:
        BadCheckpoint: as `read_config`.
    """
    write_text(folder / CONFIG, _sealed(read_config(folder) | {"threshold": threshold}))


def load_checkpoint(folder: Path) -> FastFlow:
    """The model, in evaluation mode on the CPU; preprocessing and score included, nothing else is needed.

    Raises:
        BadCheckpoint: a file is absent, or its sha256 is not the one recorded when it was written.
    """
    about = read_config(folder)
    for name in (FLOW, BACKBONE):
        verify(folder / name, about["sha256"].get(name))
    with torch.random.fork_rng(devices=[]):  # building draws numbers that the weights then replace
        model = FastFlow(FastFlowConfig.from_dict(about["model"]))
    state = load_file(folder / FLOW)
    state |= {_PREFIX + key: value for key, value in load_file(folder / BACKBONE).items()}
    model.load_state_dict(state)
    return model.eval()


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
