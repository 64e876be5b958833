"""A training step beside busy neighbours: python -m benchmarks.contention

Steps of the default model, on features of its size, in processes of their own, whose threads wait for each other asleep
(the product's setting) or spinning (OpenMP's own), in turns; beside 0, 1 and 2 processes that compute without end. The
table gives medians as ratios to the sleeping ones alone.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from benchmarks.ours import config_of, features_of, our_step
from fastflow.model import build_model
from fastflow.presets import DEFAULT

ROOT = Path(__file__).resolve().parent.parent
WAITING = {"asleep": "PASSIVE", "spinning": "ACTIVE"}
CHILD_SECONDS = 600


def busy() -> None:
    """Computes until it is ended."""
    while True:
        sum(range(100_000))


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that compute without end."""
    started = [multiprocessing.get_context("spawn").Process(target=busy, daemon=True) for _ in range(count)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.join()


def measure(steps: int, batch: int) -> float:
    """The median seconds of `steps` steps on `batch` images, after two that do not count."""
    model = build_model(config_of(DEFAULT), weights="random", seed=0)
    height, width = model.config.image_size
    images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
    with torch.no_grad():
        step = our_step(model, features_of(model, images, at_once=batch), precision="fp32", plain=False)
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return median(seconds[2:])


def child(waiting: str, arguments: argparse.Namespace) -> float:
    """`measure` in a process of its own, whose OpenMP waits in this way."""
    sizes = [f"--steps={arguments.steps}", f"--batch={arguments.batch}"]
    command = [sys.executable, "-m", "benchmarks.contention", "--child", *sizes]
    environment = os.environ | {"OMP_WAIT_POLICY": WAITING[waiting]}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=CHILD_SECONDS
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="that count, in each process")
    parser.add_argument("--batch", type=int, default=8, help="images of a step")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind, in turns")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(measure(arguments.steps, arguments.batch))
        return
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; load before: {os.getloadavg()[0]:.1f}")
    print("| busy neighbours | " + " | ".join(WAITING) + " |\n" + "|---" * (len(WAITING) + 1) + "|")
    alone = 0.0
    for count in range(3):
        found: dict[str, list[float]] = {kind: [] for kind in WAITING}
        with neighbours(count):
            for _ in range(arguments.rounds):
                for kind, seconds in found.items():
                    seconds.append(child(kind, arguments))
        middle = {kind: median(seconds) for kind, seconds in found.items()}
        alone = alone or middle["asleep"]
        cells = " | ".join(f"{seconds / alone:.2f} ({seconds:.3f} s)" for seconds in middle.values())
        print(f"| {count} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
