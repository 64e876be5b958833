"""What grows with the number of categories and machines: python -m benchmarks.capacity

DVC: in a project of so many categories, of 350 images each as MVTec AD's (here of 1 kB: DVC knows an unchanged file by
its size and time), all up to date: seconds until that is known of all, and until one stage is found to have nothing to
do. Prefect: polls a second that a server answers, each as a coordinator makes it that waits for a worker.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from dvc.repo import Repo  # type: ignore[import-untyped]

from pipelines.dvc import stage_environment

ROOT = Path(__file__).resolve().parent.parent
TRAIN_IMAGES, TEST_IMAGES, BYTES = 240, 110, 1000
POLLING_SECONDS = 20
POLL = """
import sys, time
from uuid import UUID
from prefect.client.orchestration import get_client
run, end, count = UUID(sys.argv[1]), time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    with get_client(sync_client=True) as client:
        client.read_flow_run(run)
    count += 1
print(count)
"""
START = """
from prefect import flow
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(client.create_flow_run(flow(lambda: None, name="waiting")).id)
"""


def dvc(folder: Path, *arguments: str) -> float:
    """Seconds that DVC took."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=stage_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def make_project(folder: Path, categories: list[str]) -> None:
    """A clone in which DVC takes drawn-up outputs for what the stages made."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["data"] = {"root": "images", "categories": categories}
    values["demo"]["categories"] = []
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    for category in categories:
        for part, count in (("train/good", TRAIN_IMAGES), ("test/good", TEST_IMAGES)):
            for number in range(count):
                write(folder / "images" / category / part / f"{number:03}.png", BYTES)
    for stage in Repo(str(folder)).index.stages:
        for out in stage.outs:
            path = Path(str(out.fs_path))
            path = path if path.suffix else path / "file"
            write(path, BYTES)
            if path.suffix == ".json":
                path.write_text("{}")
    dvc(folder, "commit", "--force")


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def measure_dvc(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder, categories = Path(scratch) / "fastflow", [f"part{number:04}" for number in range(count)]
        make_project(folder, categories)
        stages = [f"{stage}@{c}" for stage in ("prepare", "train", "evaluate") for c in categories]
        all_of_them = dvc(folder, "status", "--json", *stages)
        one = dvc(folder, "repro", "--single-item", f"train@{categories[-1]}")
        size = (folder / "dvc.lock").stat().st_size
    print(f"{count:5d} {all_of_them:12.1f} s {one:12.1f} s {size / 1e3:10.0f} kB", flush=True)


@contextmanager
def prefect_server(folder: Path) -> Iterator[dict[str, str]]:
    """Environment of the clients of a server of its own, on SQLite as `make up` has it."""
    port = "4799"
    environment = os.environ | {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield environment
    finally:
        process.terminate()
        process.wait()


def measure_prefect(pollers: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, prefect_server(Path(scratch)) as environment:
        run = ""
        while not run:
            asked = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True)
            run = asked.stdout.strip()
        counts: list[int] = []

        def poll() -> None:
            command = [sys.executable, "-c", POLL, run, str(POLLING_SECONDS)]
            counts.append(int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout))

        threads = [threading.Thread(target=poll) for _ in range(pollers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"{pollers} polling processes: {sum(counts) / POLLING_SECONDS:.0f} polls a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--categories", type=int, nargs="+", default=[15, 60, 240])
    args = parser.parse_args()
    print("categories  all known in  one known in   dvc.lock")
    for count in args.categories:
        measure_dvc(count)
    for pollers in (1, 2, 4):
        measure_prefect(pollers)


if __name__ == "__main__":
    main()
