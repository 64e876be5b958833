"""Milliseconds an image, beside anomalib's own: python -m benchmarks.inference --backbone resnet18

In an environment of its own, as benchmarks/train.py says. Random weights, equal backbone, size and flow; all variants
in turns, in one process, so that a busy moment hits all. Batch 1 has its median and its 95th percentile, batch 16 its
median an image. From 900x900 PNG files: one at a time, and as a folder with files read ahead.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.ours import config_of
from benchmarks.peers import flow_options, name_of
from fastflow.detector import Images
from fastflow.export.graph import ScoringGraph
from fastflow.export.runner import open_file
from fastflow.export.write import write_int8, write_onnx, write_openvino
from fastflow.frame import Frame, read_framed
from fastflow.model import FastFlow, build_model
from fastflow.trained import TrainedDetector
from pipelines.scoring.batches import decoded

Run = Callable[[Images], object]
FILE_SIDE_PIXELS, NUM_FILES, LARGE_BATCH = 900, 16, 16


def ours(model: FastFlow, folder: Path, *, compiled: bool) -> dict[str, Run]:
    """The model by its checkpoint, and by each export."""
    size = model.config.image_size
    graph = ScoringGraph(model, threshold=0.5)

    threshold = {"image": 0.5, "pixel": 0.5, "low": 0.5}
    found: dict[str, Run] = {"ours, torch": TrainedDetector(model=model, threshold=threshold).predict}
    if compiled:
        fast = torch.compile(graph)
        found["ours, torch compiled"] = lambda images: fast(torch.from_numpy(images))
    noise = np.random.default_rng(1).integers(0, 256, (8, 3, *size), dtype=np.uint8)
    for runtime, precision in (
        ("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("onnx", "int8"), ("openvino", "int8"),
    ):  # fmt: skip
        place = folder / f"{runtime}-{precision}"
        place.mkdir()
        write_onnx(graph, place)
        if precision == "int8":
            write_int8(place, noise)
        if runtime == "openvino":
            write_openvino(place)
        found[f"ours, {runtime} {precision}"] = open_file(place, runtime=runtime, precision=precision)
    return found


def anomalib_model(model: FastFlow) -> Any:
    from anomalib.models import Fastflow

    made = Fastflow(backbone=name_of(model.config), pre_trained=False, **flow_options(model.config))
    return made.eval()


def anomalib_runs(made: Any, folder: Path, size: tuple[int, int]) -> dict[str, Run]:
    """Its torch model, and the graph of its own OpenVINO export at OpenVINO's default precision and in fp32."""
    path = made.to_openvino(folder, input_size=size)
    torch_model = made.model

    def floats(images: Images) -> NDArray[np.float32]:
        return images.astype(np.float32) / np.float32(255)

    @torch.inference_mode()
    def by_torch(images: Images) -> object:
        return torch_model(torch.from_numpy(floats(images)))

    found: dict[str, Run] = {"anomalib, torch": by_torch}
    for name, settings in (("default", {}), ("fp32", {"INFERENCE_PRECISION_HINT": "f32"})):
        compiled = openvino.Core().compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", **settings})
        found[f"anomalib, openvino {name}"] = partial(lambda compiled, images: compiled(floats(images)), compiled)
    return found


def timed(runs: dict[str, Run], images: Images, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each variant in each round."""
    for run in runs.values():
        run(images)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(images)
            spent[name].append(1000 * (time.perf_counter() - start))
    return spent


def from_files(runs: dict[str, Run], paths: list[str], frame: Frame, inferencer: Any) -> dict[str, float]:
    """Milliseconds a PNG file: anomalib's inferencer as it ships, ours one at a time and as a folder."""

    def each(run: Run) -> None:
        for path in paths:
            run(np.ascontiguousarray(read_framed(Path(path), frame).pixels.transpose(2, 0, 1)[None]))

    def folder(run: Run) -> None:
        for batch in decoded(paths, frame, 8, []):
            run(np.stack([seen.framed.pixels.transpose(2, 0, 1) for _, seen in batch]))

    def peer() -> None:
        for path in paths:
            inferencer.predict(image=path)

    ways: dict[str, Callable[[], None]] = {"anomalib, OpenVINOInferencer": peer}
    for name, run in runs.items():
        if name.startswith("ours") and "compiled" not in name:
            ways[f"{name}, one at a time"] = partial(each, run)
            ways[f"{name}, folder"] = partial(folder, run)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            spent[name].append(1000 * (time.perf_counter() - start) / len(paths))
    return {name: float(np.median(values)) for name, values in spent.items()}


def photographs(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{number:02}.png" for number in range(NUM_FILES)]
    for path in paths:  # smooth with noise, as photographs are: about 1 MB each
        small = rng.integers(60, 200, (30, 30, 3), dtype=np.uint8)
        picture = np.asarray(
            Image.fromarray(small).resize((FILE_SIDE_PIXELS, FILE_SIDE_PIXELS), Image.Resampling.BICUBIC)
        )
        noisy = picture.astype(np.int16) + rng.normal(0, 2, picture.shape).astype(np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return [str(path) for path in paths]


def measure(backbone: str, *, rounds: int, compiled: bool, large: int) -> dict[str, dict[str, float]]:
    from anomalib.deploy import OpenVINOInferencer

    model = build_model(config_of(backbone), weights="random", seed=0).eval()
    size = model.config.image_size
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = anomalib_model(model)
        runs = anomalib_runs(made, folder / "anomalib", size) | ours(model, folder, compiled=compiled)
        one, many = (rng.integers(0, 256, (count, 3, *size), dtype=np.uint8) for count in (1, large))
        alone, together = timed(runs, one, rounds), timed(runs, many, max(3, rounds // 5))
        found = {
            name: {
                "p50": float(np.median(alone[name])),
                "p95": float(np.quantile(alone[name], 0.95)),
                "batch": float(np.median(together[name])) / large,
            }
            for name in runs
        }
        shipped = made.to_openvino(folder / "as shipped")  # with its own resizing in the graph
        files = from_files(runs, photographs(folder), model.frame, OpenVINOInferencer(path=shipped, device="CPU"))
    return found | {name: {"file": value} for name, value in files.items()}


def show(backbone: str, found: dict[str, dict[str, float]], large: int) -> None:
    base = found["anomalib, torch"]
    print(f"\n{backbone}, {os.cpu_count()} cores, ms an image; x: times as fast as anomalib's torch")
    print(f"{'':34} batch 1: p50    p95      x   batch {large}      x")
    for name, row in found.items():
        if "p50" in row:
            print(
                f"{name:34} {row['p50']:12.1f} {row['p95']:6.1f} {base['p50'] / row['p50']:6.2f}"
                f" {row['batch']:9.1f} {base['batch'] / row['batch']:6.2f}"
            )
    peer = found["anomalib, OpenVINOInferencer"]["file"]
    print(
        f"\nfrom {FILE_SIDE_PIXELS}x{FILE_SIDE_PIXELS} PNG files, ms a file; x: times as fast as anomalib's inferencer"
    )
    for name, row in found.items():
        if "file" in row:
            print(f"{name:44} {row['file']:8.1f} {peer / row['file']:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", action="append", help="may be repeated; default: resnet18")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--large", type=int, default=LARGE_BATCH, help="the larger batch")
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well: about a minute more")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    all_found = {}
    for backbone in args.backbone or ["resnet18"]:
        all_found[backbone] = measure(backbone, rounds=args.rounds, compiled=args.compiled, large=args.large)
        show(backbone, all_found[backbone], args.large)
    if args.json:
        args.json.write_text(json.dumps(all_found, indent=2) + "\n")


if __name__ == "__main__":
    main()
