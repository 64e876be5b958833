"""A trained model on disk: tensors (safetensors) and JSON, never a pickle.

    config.json           config, sha256 of each weights file, and what the trainer adds
    flow.safetensors      flows with their permutations, affines, normal range
    backbone.safetensors  the frozen backbone, cut at its last needed layer; equal for all categories

The folder holds all that prediction needs.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fastflow.config import FastFlowConfig
from fastflow.errors import BadData
from fastflow.files import file_sha256, write_text
from fastflow.model import FastFlow

CONFIG, FLOW, BACKBONE = "config.json", "flow.safetensors", "backbone.safetensors"
_PREFIX = "backbone."


class BadCheckpoint(BadData):
    """A checkpoint folder that cannot be trusted; the message names the file and what is wrong."""


def save_checkpoint(model: FastFlow, folder: Path, **about: Any) -> dict[str, str]:
    """Writes the folder at once (a complete one replaces an older one) and returns the sha256 of its weights.

    `about`: JSON-able facts kept in config.json under their own names, such as category and seed.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file({k: v for k, v in state.items() if not k.startswith(_PREFIX)}, part / FLOW)
    save_file({k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}, part / BACKBONE)
    hashes = {name: file_sha256(part / name) for name in (FLOW, BACKBONE)}
    text = json.dumps({"model": model.config.to_dict(), "sha256": hashes, **about}, indent=2)
    (part / CONFIG).write_text(text + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return hashes


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as it is. Raises BadCheckpoint if it is absent or not a checkpoint's."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
        config["model"], config["sha256"]
    except FileNotFoundError as error:
        raise BadCheckpoint(f"{folder} is not a checkpoint: it has no {CONFIG}; train the category first") from error
    except (ValueError, TypeError, KeyError) as error:
        raise BadCheckpoint(f"{path} is damaged ({error!r}); restore it or train again") from error
    assert isinstance(config, dict)
    return config


def write_threshold(folder: Path, threshold: dict[str, Any]) -> None:
    """Replaces the threshold in config.json at once; the weights stay as they are.

    Raises:
        BadCheckpoint: as `read_config`.
    """
    write_text(folder / CONFIG, json.dumps(read_config(folder) | {"threshold": threshold}, indent=2) + "\n")


def load_checkpoint(folder: Path) -> FastFlow:
    """The model, in evaluation mode on the CPU; preprocessing and score included, nothing else is needed.

    Raises:
        BadCheckpoint: a file is absent, or its sha256 is not the one recorded when it was written.
    """
    about = read_config(folder)
    for name in (FLOW, BACKBONE):
        _verify(folder / name, about["sha256"].get(name))
    with torch.random.fork_rng(devices=[]):  # building draws numbers that the weights then replace
        model = FastFlow(FastFlowConfig.from_dict(about["model"]))
    state = load_file(folder / FLOW)
    state |= {_PREFIX + key: value for key, value in load_file(folder / BACKBONE).items()}
    model.load_state_dict(state)
    return model.eval()


def _verify(path: Path, expected: str | None) -> None:
    if not path.is_file():
        raise BadCheckpoint(f"{path} is missing; restore it or train again")
    got = file_sha256(path)
    if got != expected:
        raise BadCheckpoint(
            f"{path} is damaged: its sha256 is {got}, recorded was {expected}; restore it or train again"
        )
