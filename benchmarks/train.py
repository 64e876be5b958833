"""Training beside anomalib and gathierry/FastFlow's plain step: seconds a step, seconds an epoch, peak memory.

    python -m benchmarks.train [--backbones resnet18 wide_resnet50_2 deit cait] [--batch 32] [--epochs 2] [--json OUT]

Random weights, the same flow, and 209 + 83 drawn photographs of 900x900 unless --data names a category. Steps are run
in turn in one process; epochs in a process each, in turn, validation included, with features extracted once before
ours (column `once`). Ratios are of medians. anomalib's dependencies must not mix with ours: give it an environment,

    uv venv /tmp/bench && uv pip install -p /tmp/bench -r pyproject.toml --group dev anomalib==2.7.0
    /tmp/bench/bin/python -m benchmarks.train

without it, its columns are left out. `share` is the flow's useful work (three forward passes) a second, as a part of
what the best convolution measured here reaches.
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.ours import config_of, features_of, fit_ours, our_step, useful_flop
from benchmarks.peers import Step, anomalib_step, fit_anomalib, reproduction_step
from benchmarks.photographs import draw_category
from fastflow.model import build_model


def steps(backbone: str, batch: int, rounds: int, precisions: list[str]) -> dict[str, Any]:
    """Median seconds of an optimiser step on `batch` images, of each contender, in turn."""
    config = config_of(backbone)
    height, width = config.image_size
    images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8)
    pixels = images / 255
    model = build_model(config, weights="random", seed=0)
    features = features_of(model, images, at_once=4)
    runs: dict[str, Step] = {f"ours {p}": our_step(model, features, precision=p, plain=False) for p in precisions}
    plain = build_model(config, weights="random", seed=0)
    runs["ours plain"] = our_step(plain, features, precision="fp32", plain=True)
    if not model.backbone.plain_transformer:
        runs["reproduction"] = reproduction_step(config, pixels)
    if importlib.util.find_spec("anomalib"):
        runs["anomalib"] = anomalib_step(config, pixels)
    seconds = in_turn(runs, rounds)
    useful = useful_flop(plain, features) / 1e9
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return {"backbone": backbone, "batch": batch, "seconds": seconds, "median": median, "useful_gflop": useful}


def in_turn(runs: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each run in each round, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def worker(args: argparse.Namespace) -> None:
    """One contender's epochs, in this process; prints JSON."""
    backbone, folder = args.backbones[0], args.data
    if args.worker == "anomalib":
        with tempfile.TemporaryDirectory() as scratch:
            found = fit_anomalib(
                config_of(backbone), folder, batch_size=args.batch, epochs=args.epochs, scratch=Path(scratch)
            )
    else:
        found = fit_ours(backbone, folder, batch_size=args.batch, epochs=args.epochs, precision=args.worker)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("RESULT " + json.dumps(found._asdict() | {"peak_mib": peak}), flush=True)


def epochs(backbone: str, args: argparse.Namespace, precisions: list[str]) -> dict[str, Any]:
    """Each contender's epochs in a process of its own, `rounds` times in turn."""
    contenders = precisions + ["anomalib"] * bool(importlib.util.find_spec("anomalib"))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(args.rounds):
        for name in contenders:
            command = [sys.executable, "-m", "benchmarks.train", "--worker", name, "--backbones", backbone]
            command += ["--data", str(args.data), "--batch", str(args.batch), "--epochs", str(args.epochs)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
            if line is None:
                raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
            found[name].append(json.loads(line.removeprefix("RESULT ")))
    return {"backbone": backbone, "found": found}


def best_convolution() -> float:
    """GFLOP/s of the fastest of some 3x3 convolutions, float32, channels-last."""
    best = 0.0
    for batch, inputs, outputs, side in ((4, 32, 64, 64), (4, 64, 128, 32), (32, 128, 256, 16), (8, 128, 128, 64)):
        conv = nn.Conv2d(inputs, outputs, 3, padding=1).to(memory_format=torch.channels_last)
        x = torch.randn(batch, inputs, side, side).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seconds = min(in_turn({"": lambda conv=conv, x=x: conv(x)}, 10)[""])  # type: ignore[misc]
        best = max(best, 2 * batch * inputs * outputs * 9 * side**2 / seconds / 1e9)
    return best


def print_steps(row: dict[str, Any], peak: float) -> None:
    print(f"\n{row['backbone']}, one optimiser step on {row['batch']} images")
    base = row["median"].get("anomalib")
    for name, seconds in row["median"].items():
        low, high = min(row["seconds"][name]), max(row["seconds"][name])
        ratio = f"{base / seconds:6.2f}x" if base else ""
        share = f"share {row['useful_gflop'] / seconds / peak:4.0%}" if name.startswith("ours") else ""
        print(f"  {name:14} {seconds:8.3f} s  [{low:.3f}..{high:.3f}] {ratio} {share}", flush=True)


def print_epochs(row: dict[str, Any]) -> None:
    print(f"\n{row['backbone']}, an epoch with its validation")
    median: Callable[[list[float]], float] = statistics.median
    found = {
        n: {k: median([v for run in runs for v in run[k]]) for k in ("epochs", "training")}
        for n, runs in row["found"].items()
    }
    for name, runs in row["found"].items():
        once, peak = median([run["setup"] for run in runs]), max(run["peak_mib"] for run in runs)
        ratio = f"{found['anomalib']['epochs'] / found[name]['epochs']:6.2f}x" if "anomalib" in found else ""
        print(f"  {name:10} epoch {found[name]['epochs']:7.2f} s (training {found[name]['training']:.2f}) {ratio}"
              f"  once {once:.1f} s  peak {peak:,.0f} MiB", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet18"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--only", choices=["steps", "epochs"])
    parser.add_argument("--data", type=Path, help="a category's folder; drawn where none is given")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args)
        return
    peak = best_convolution()
    report: dict[str, Any] = {"threads": torch.get_num_threads(), "peak_gflops": peak, "steps": [], "epochs": []}
    print(f"{torch.get_num_threads()} threads, best convolution {peak:.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as scratch:
        for backbone in args.backbones:
            if args.only != "epochs":
                report["steps"].append(steps(backbone, args.batch, args.rounds, args.precisions))
                print_steps(report["steps"][-1], peak)
            if args.only != "steps":
                args.data = args.data or draw_category(Path(scratch) / "bottle")
                report["epochs"].append(epochs(backbone, args, args.precisions))
                print_epochs(report["epochs"][-1])
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
