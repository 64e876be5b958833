"""The machine's load as a run logs it, against the kernel's figures."""

import os
import time
from pathlib import Path

import pytest
import torch

from pipelines.tracking import journal, runs
from pipelines.training.system_metrics import BYTES_PER_MEGABYTE, log_system_metrics, sample

CPU = torch.device("cpu")


def test_a_sample_is_what_the_kernel_says() -> None:
    found = sample(CPU)
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    near = pytest.approx((total - available) / BYTES_PER_MEGABYTE, abs=0.05 * total / BYTES_PER_MEGABYTE)
    assert found["system/system_memory_usage_megabytes"] == near
    disk = os.statvfs(".")
    assert found["system/disk_available_megabytes"] == pytest.approx(
        disk.f_bavail * disk.f_frsize / BYTES_PER_MEGABYTE, rel=0.02
    )
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / BYTES_PER_MEGABYTE
    assert found["system/process_memory_usage_megabytes"] == pytest.approx(resident, rel=0.05)


def test_cpu_time_spent_is_seen() -> None:
    sample(CPU)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    assert sample(CPU)["system/cpu_utilization_percentage"] > 80 / (os.cpu_count() or 1)


def test_a_gpu_is_reported_of_under_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(device: torch.device) -> int:
        raise ModuleNotFoundError("pynvml does not seem to be installed")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3_000_000_000, 4_000_000_000))
    monkeypatch.setattr(torch.cuda, "utilization", absent)
    found = sample(torch.device("cuda", 1))
    assert found["system/gpu_1_memory_usage_megabytes"] == 1000
    assert found["system/gpu_1_memory_usage_percentage"] == 25
    assert "system/gpu_1_utilization_percentage" not in found
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 87)
    assert sample(torch.device("cuda"))["system/gpu_0_utilization_percentage"] == 87


@pytest.mark.usefixtures("folder")
def test_samples_go_to_the_run_until_its_work_ends_and_one_at_the_end() -> None:
    with runs.new_run("r", tags={}) as run:
        with log_system_metrics(run, CPU, seconds=0.05):
            time.sleep(0.5)
        logged = samples()
        time.sleep(0.2)
        assert samples() == logged
    assert len(logged) >= 3
    assert logged == list(range(len(logged)))


def samples() -> list[int]:
    (folder,) = journal.pending()
    return [e["step"] for e in journal.read(folder) if "system/cpu_utilization_percentage" in e.get("values", {})]
