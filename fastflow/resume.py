"""The state of an interrupted training on disk: restored completely, or not at all.

    <folder>/<step>.<sha256>.safetensors        the last two

A file's name holds the hash of its content, and the file is renamed last: one that a kill, a full disk or a flipped bit
damaged is skipped. The file's header holds the key of the training; another key is another training.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from fastflow.files import write_bytes

STATES_KEPT = 2
KEY = "training_key"
log = logging.getLogger(__name__)


def training_key(**facts: Any) -> str:
    """The hash of everything that determines a training; JSON-able facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class SavedStates:
    """The states of one training, in a folder of its own."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def save(self, state: Mapping[str, Tensor], *, step: int) -> None:
        """Writes a state and deletes all but the last two.

        Raises:
            OSError: the disk is full; the states before are as they were.
        """
        for torn in self.folder.glob(".*.part"):  # a killed save's
            torn.unlink()
        content = save({name: tensor.contiguous().cpu() for name, tensor in state.items()}, metadata={KEY: self.key})
        name = f"{step:08d}.{hashlib.sha256(content).hexdigest()}.safetensors"
        write_bytes(self.folder / name, content)
        for old in self._files()[STATES_KEPT:]:
            old.unlink(missing_ok=True)

    def load(self) -> dict[str, Tensor] | None:
        """The newest undamaged state of this training; None where there is none. States of another one are deleted."""
        for path in self._files():
            content = path.read_bytes()
            header = _header(content)
            if header is None or hashlib.sha256(content).hexdigest() != path.name.split(".")[1]:
                log.warning("%s is damaged; going back to the state before it", path)
                path.unlink()
                continue
            if header.get(KEY) != self.key:
                log.info("%s is of another training (images, parameters or code have changed); starting again", path)
                break
            return load(content)
        self.forget()
        return None

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("[0-9]*.safetensors"), reverse=True)


def _header(content: bytes) -> dict[str, Any] | None:
    """The metadata written with the tensors; None where the bytes are no such file."""
    length = int.from_bytes(content[:8], "little")
    try:
        return dict(json.loads(content[8 : 8 + length]).get("__metadata__", {}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
