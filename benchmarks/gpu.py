"""Training on a GPU: seconds a step beside other ways to compute it, seconds of whole trainings, peak memory.

    python -m benchmarks.gpu [--backbones resnet18 wide_resnet50_2 deit cait] [--epochs 500] [--only steps] [--json OUT]

Random weights and images: what is computed does not change how long it takes. Steps are run in turn on one card; each
is as fast as its kernels and launches allow, so medians of 20 are given. `ours` has Triton's kernels, bfloat16
convolutions and CUDA graphs; `definition` is the readable flow, launched one kernel at a time; `reproduction` is
gathierry/FastFlow's step, which computes the backbone each time (needs FrEIA).
"""

import argparse
import copy
import importlib.util
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.ours import config_of, features_of, our_step, useful_flop
from benchmarks.peers import Step, reproduction_step
from fastflow.model import FastFlow, build_model
from fastflow.train import Training

DEVICE = torch.device("cuda")
MVTEC_AD = {
    "bottle": 209, "cable": 224, "capsule": 219, "carpet": 280, "grid": 264, "hazelnut": 391, "leather": 245,
    "metal_nut": 220, "pill": 267, "screw": 320, "tile": 230, "toothbrush": 60, "transistor": 213, "wood": 247,
    "zipper": 240,
}  # fmt: skip
"""Good training images of each category."""


def features_of_noise(model: FastFlow, count: int) -> list[Tensor]:
    """Features of `count` images of noise, on the GPU."""
    images = torch.randint(0, 256, (count, 3, *model.config.image_size), dtype=torch.uint8, device=DEVICE)
    return features_of(model, images, at_once=16)


def steps(backbone: str, batch: int, rounds: int) -> dict[str, Any]:
    """Median seconds of an optimiser step on `batch` images, of each contender, in turn."""
    config = config_of(backbone)
    model = build_model(config, weights="random", seed=0).to(DEVICE)
    features = features_of_noise(model, batch)
    runs: dict[str, Step] = {}
    for name, precision, plain in (
        ("ours bf16", "bf16", False), ("ours fp32", "fp32", False), ("definition bf16", "bf16", True),
        ("definition fp32", "fp32", True),
    ):  # fmt: skip
        own = copy.deepcopy(model, {id(model.backbone): model.backbone})
        runs[name] = our_step(own, features, precision=precision, plain=plain)
    if importlib.util.find_spec("FrEIA") and not model.backbone.plain_transformer:
        height, width = config.image_size
        runs["reproduction"] = reproduction_step(config, torch.rand(batch, 3, height, width, device=DEVICE))
    seconds = {name: timed(run, rounds) for name, run in runs.items()}
    useful = useful_flop(model, features) / 1e12
    return {"backbone": backbone, "batch": batch, "seconds": seconds, "useful_tflop": useful}


def timed(run: Callable[[], object], rounds: int) -> float:
    """Median wall seconds, after three runs that are not counted."""
    taken = []
    for turn in range(rounds + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if turn >= 3:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def ceilings() -> dict[str, float]:
    """What the card reaches here: bytes moved a second by a copy, FLOP/s of a bfloat16 matrix product."""
    source = torch.empty(2**30, dtype=torch.float32, device=DEVICE)
    target = torch.empty_like(source)
    left, right = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    copy, product = timed(lambda: target.copy_(source), 10), timed(lambda: left @ right, 10)
    return {"copy_tb_s": 2 * 4 * 2**30 / copy / 1e12, "matmul_tflop_s": 2 * 8192**3 / product / 1e12}


def training(count: int, epochs: int, *, backbone: str = "resnet18") -> dict[str, float]:
    """Seconds of a training of `count` images, with its features, from images in memory; and its peak memory."""
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    model = build_model(config_of(backbone), weights="random", seed=0).to(DEVICE)
    features = features_of_noise(model, count)
    settings: dict[str, Any] = {"batch_size": 32, "learning_rate": 0.001, "weight_decay": 0.00001, "precision": "bf16"}
    run = Training(model, torch.arange(count), epochs=epochs, seed=0, **settings).run(features)
    losses = [epoch.loss for epoch in run]
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "last_loss": losses[-1], "peak_gib": torch.cuda.max_memory_allocated() / 2**30}


def all_categories(epochs: int, at_once: int) -> float:
    """Seconds of a training of each of MVTec AD's categories, the largest first, in `at_once` processes."""
    start = time.perf_counter()
    counts = sorted(MVTEC_AD.values(), reverse=True)
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(training, counts, [epochs] * len(counts)))
    return time.perf_counter() - start


def print_steps(row: dict[str, Any], peak: float) -> None:
    print(f"\n{row['backbone']}, one optimiser step on {row['batch']} images")
    for name, seconds in row["seconds"].items():
        share = row["useful_tflop"] / seconds / peak
        ratio = row["seconds"].get("reproduction", row["seconds"]["definition fp32"]) / seconds
        print(f"  {name:16} {seconds * 1e3:8.2f} ms {ratio:6.2f}x  flow's work at {share:5.1%} of the peak", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet18"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 3], help="categories, each in a process")
    parser.add_argument("--only", choices=["steps", "one", "all"])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {"card": torch.cuda.get_device_name(), "ceilings": ceilings(), "steps": []}
    print(report["card"], {k: round(v, 2) for k, v in report["ceilings"].items()})
    if args.only in (None, "steps"):
        for backbone in args.backbones:
            report["steps"].append(steps(backbone, args.batch, args.rounds))
            print_steps(report["steps"][-1], report["ceilings"]["matmul_tflop_s"])
    if args.only in (None, "one"):
        report["one"] = [training(209, args.epochs) for _ in range(2)]  # kernels are built in the first
        print(f"\nResNet18, 209 images, {args.epochs} epochs", report["one"], flush=True)
    if args.only in (None, "all"):
        for at_once in args.at_once:
            report[f"all, {at_once} at once"] = seconds = all_categories(args.epochs, at_once)
            print(f"\nMVTec AD's 15 categories, {at_once} at once, {args.epochs} epochs: {seconds:.0f} s", flush=True)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
