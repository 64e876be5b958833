"""A trained model on disk: tensors (safetensors) and JSON, never a pickle.

    config.json           config, sha256 of each file beside it and of itself, and what the trainer adds
    flow.safetensors      flows with their permutations, affines, normal range
    backbone.safetensors  the frozen backbone, cut at its last needed layer; equal for all categories

The folder holds all that prediction needs.
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fastflow.config import FastFlowConfig
from fastflow.files import sync_folder, write_bytes, write_text
from fastflow.model import FastFlow
from fastflow.sealed import BACKBONE, CHECKPOINT, CONFIG, FLOW, BadCheckpoint, read_config, sealed

_PREFIX = "backbone."


def save_checkpoint(
    model: FastFlow, folder: Path, *, files: Mapping[str, bytes] | None = None, **about: Any
) -> dict[str, str]:
    """Writes the folder at once (a complete one replaces an older one) and returns the sha256 of its files.

    `files` are further ones to be kept beside the weights; `about`: JSON-able facts kept in config.json under their
    own names, such as category and seed.

    Raises:
        OSError: the disk is full; the older folder is as it was.
        ValueError: the model holds numbers that are not finite; nothing is written.
    """
    require_usable(model)
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
        write_text(part / CONFIG, sealed({"model": model.config.to_dict(), "sha256": hashes, **about}))
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(folder.parent)
    return hashes


def load_checkpoint(folder: Path, *, about: Mapping[str, Any] | None = None) -> FastFlow:
    """The model, in evaluation mode on the CPU; preprocessing and score included, nothing else is needed. `about`: its
    config.json, where that was read before: a folder that was replaced since is refused.

    Raises:
        BadCheckpoint, ValueError: as `fastflow.sealed.Kind.read`; a file is absent or another than was written; its
            tensors do not fit, or are not finite.
    """
    about = read_config(folder) if about is None else about
    flow, backbone = (CHECKPOINT.verified(folder / name, about["sha256"].get(name)) for name in (FLOW, BACKBONE))
    try:
        with torch.random.fork_rng(devices=[]):  # building draws numbers that the weights then replace
            model = FastFlow(FastFlowConfig.from_dict(about["model"]))
        state = load(flow)
        wanted = model.backbone.state_dict().keys()  # older files hold layers past the last needed one
        state |= {_PREFIX + key: value for key, value in load(backbone).items() if key in wanted}
        model.load_state_dict(state)
        require_usable(model)
    except (ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise BadCheckpoint(f"{folder} holds no model that can be used ({reason}); {CHECKPOINT.cure}") from error
    return model.eval()


def require_usable(model: FastFlow) -> None:
    """Raises ValueError where a tensor is not finite, or a normal range has no width: scores would be NaN."""
    require_finite(model.state_dict())
    if not bool((model.normal_spread > 0).all()):
        raise ValueError(f"normal_spread is {model.normal_spread.tolist()}; allowed: numbers above 0")


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError that names the first tensor with NaN or infinity."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"tensor {name} holds numbers that are not finite")
