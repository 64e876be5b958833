"""How many categories are at work at once on this machine, and which GPU or cores each has."""

import os
import queue
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.core.params import Params


class Slots:
    """Slots for `parallel` categories at once, each with a GPU or cores of its own while it runs."""

    def __init__(self, params: Params) -> None:
        self.count = params.retrain.parallel
        self._free: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        gpus = usable_gpus() if params.device in ("auto", "cuda") else []
        cores = max(1, (os.cpu_count() or 1) // self.count)
        for number in range(self.count):
            alone = self.count == 1 or "OMP_NUM_THREADS" in os.environ
            threads = {} if alone else {"OMP_NUM_THREADS": str(cores)}
            self._free.put({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else threads)

    @contextmanager
    def acquired(self) -> Iterator[dict[str, str]]:
        """The environment of one slot, until it is released."""
        slot = self._free.get()
        try:
            yield slot
        finally:
            self._free.put(slot)


def usable_gpus() -> list[str]:
    """Names of the GPUs that this process may use; from the driver: importing PyTorch here would cost seconds."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []
