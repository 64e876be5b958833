"""The machine's load during a run, under the names that MLflow's page "System metrics" shows."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil
import torch

from pipelines.tracking.runs import TrackedRun

SAMPLE_SECONDS = 10.0  # between two samples, as MLflow's own
BYTES_PER_MEGABYTE = 1e6


def sample(device: torch.device) -> Mapping[str, float]:
    """Load and memory now, in percent and megabytes (10^6 bytes); of the GPU, too, where `device` is one.

    A GPU's utilization is left out where the package nvidia-ml-py is not installed.
    """
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(".")
    found = {
        "cpu_utilization_percentage": psutil.cpu_percent(),  # since the last call
        "system_memory_usage_megabytes": (memory.total - memory.available) / BYTES_PER_MEGABYTE,
        "system_memory_usage_percentage": memory.percent,
        "process_memory_usage_megabytes": psutil.Process().memory_info().rss / BYTES_PER_MEGABYTE,
        "disk_available_megabytes": disk.free / BYTES_PER_MEGABYTE,
        "disk_usage_percentage": disk.percent,
    }
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        gpu = f"gpu_{device.index or 0}"
        found[f"{gpu}_memory_usage_megabytes"] = (total - free) / BYTES_PER_MEGABYTE
        found[f"{gpu}_memory_usage_percentage"] = 100 * (total - free) / total
        with suppress(ModuleNotFoundError, RuntimeError):
            found[f"{gpu}_utilization_percentage"] = float(torch.cuda.utilization(device))
    return {f"system/{name}": value for name, value in found.items()}


@contextmanager
def log_system_metrics(run: TrackedRun, device: torch.device, *, seconds: float = SAMPLE_SECONDS) -> Iterator[None]:
    """Logs a sample to the run every `seconds`, and one at its end; a sample that fails ends only the sampling."""
    over = threading.Event()

    def watch() -> None:
        psutil.cpu_percent()  # the first answer covers no time
        step = 0
        with suppress(OSError, RuntimeError, psutil.Error):
            while not over.wait(seconds):
                run.log_metrics(sample(device), step=step)
                step += 1
            run.log_metrics(sample(device), step=step)

    thread = threading.Thread(target=watch, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)  # a training does not wait for a journal on a disk that hangs
