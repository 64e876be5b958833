"""Pixel AUROC and AUPRO of this library beside anomalib, scikit-learn and torchmetrics.

    python -m benchmarks.metrics [--json OUT] [--sizes 83x256 1000x256 83x1024] [--repeats 3]

anomalib is not among our dependencies, and its own must not mix with ours: give it an environment of its own
    uv venv /tmp/bench && uv pip install -p /tmp/bench anomalib==2.7.0 scikit-learn pandas
    /tmp/bench/bin/python -m benchmarks.metrics
Without it, its columns are left out. All run in one process, in turn, on the same maps, in CPU threads as each
library uses them; the figures are medians of wall-clock seconds. Ours computes pixel AUROC, AP, F1-max and AUPRO
at two limits in the time given. A reference that took more than --patience seconds is not repeated.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import binary_auroc

from fastflow.metrics.pixel import pixel_metrics

HOW_TO_INSTALL = "anomalib is absent: uv pip install -p ENVIRONMENT anomalib==2.7.0 (not into ours)"
ANOMALIB = ("anomalib pixel AUROC", "anomalib AUPRO")
Result = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the pixel metrics beside those of other libraries.")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--sizes", nargs="+", default=["83x256", "1000x256", "83x1024"], metavar="IMAGESxSIDE")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, of which the median is taken")
    parser.add_argument("--patience", type=float, default=15, help="seconds beyond which a peer runs once only")
    arguments = parser.parse_args()
    with_anomalib = importlib.util.find_spec("anomalib") is not None
    if not with_anomalib:
        print(HOW_TO_INSTALL, file=sys.stderr)
    rows = []
    for size in arguments.sizes:
        count, side = (int(number) for number in size.split("x"))
        rows.append({"images": count, "side": side, **_row(count, side, arguments, with_anomalib)})
        _print_row(rows[-1])
    report = {"machine": _machine(), "repeats": arguments.repeats, "rows": rows}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _row(count: int, side: int, arguments: argparse.Namespace, with_anomalib: bool) -> dict[str, Any]:
    maps, masks = _case(count, side)
    runs = _runs(maps, masks, with_anomalib)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    values: dict[str, Result] = {}
    for _ in range(arguments.repeats):  # in turn, so that a busy moment of the machine hits all alike
        for name, run in runs.items():
            if seconds[name] and seconds[name][0] > arguments.patience:
                continue
            start = time.perf_counter()
            values[name] = run()
            seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "defect_fraction": float(masks.mean()),
        "seconds": median,
        "all_seconds": seconds,
        "times_faster": _ratios(median),
        "values": values,
    }


def _ratios(median: Result) -> Result:
    """How many times longer each peer takes than ours, which gives both metrics at once."""
    ratios = {name: seconds / median["ours"] for name, seconds in median.items() if name != "ours"}
    if set(ANOMALIB) <= set(median):
        ratios["anomalib both"] = sum(median[name] for name in ANOMALIB) / median["ours"]
    return ratios


def _case(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth maps with some noise; three of four images have a large and a small defect, a little brighter."""
    random = np.random.default_rng(0)
    maps, masks = np.empty((count, side, side), np.float32), np.zeros((count, side, side), bool)
    textures = [ndimage.zoom(random.normal(size=(32, 32)).astype(np.float32), side / 32, order=1) for _ in range(8)]
    for index in range(count):
        texture = np.roll(textures[index % 8], (index * 7, index * 13), axis=(0, 1))
        maps[index] = texture + random.normal(0, 0.1, (side, side)).astype(np.float32)
        if index % 4:
            y, x = random.integers(0, side // 2, 2)
            masks[index, y : y + side // 5, x : x + side // 4] = True
            masks[index, -side // 20 : -2, -side // 10 : -2] = True
    maps += masks * np.float32(1.5)
    return maps, masks


def _runs(maps: np.ndarray, masks: np.ndarray, with_anomalib: bool) -> dict[str, Callable[[], Result]]:
    scores, defect = torch.from_numpy(maps), torch.from_numpy(masks)

    def ours() -> Result:
        metrics = pixel_metrics(list(maps), list(masks))
        return {name: value for name, (value, _) in metrics.items() if value is not None}

    def scikit_learn() -> Result:
        return {"pixel_auroc": float(roc_auc_score(masks.ravel(), maps.ravel()))}

    def torchmetrics() -> Result:
        unit = (scores - scores.min()) / (scores.max() - scores.min())  # else it applies a sigmoid
        return {"pixel_auroc": float(binary_auroc(unit.ravel(), defect.ravel().int()))}

    runs: dict[str, Callable[[], Result]] = {
        "ours": ours,
        "scikit-learn pixel AUROC": scikit_learn,
        "torchmetrics pixel AUROC": torchmetrics,
    }
    if with_anomalib:
        runs |= dict(zip(ANOMALIB, _anomalib_runs(scores, defect), strict=True))
    return runs


def _anomalib_runs(scores: torch.Tensor, defect: torch.Tensor) -> list[Callable[[], Result]]:
    from anomalib.metrics.aupro import _AUPRO
    from anomalib.metrics.auroc import _AUROC

    def run(metric: Any, name: str) -> Result:
        metric.update(scores, defect.int())
        return {name: float(metric.compute())}

    return [lambda: run(_AUROC(), "pixel_auroc"), lambda: run(_AUPRO(), "aupro")]


def _machine() -> dict[str, Any]:
    libraries = ("numpy", "scipy", "torch", "torchmetrics", "scikit-learn", "anomalib")
    versions = {}
    for library in libraries:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "absent"
    return {"cpus": os.cpu_count(), "torch_threads": torch.get_num_threads(), "versions": versions}


def _print_row(row: dict[str, Any]) -> None:
    print(f"\n{row['images']} maps of {row['side']}x{row['side']}, {row['defect_fraction']:.1%} defect pixels")
    print(f"{'':28}{'seconds':>9}{'x ours':>8}  value")
    for name, seconds in row["seconds"].items():
        ratio = row["times_faster"].get(name, 1.0)
        shown = ", ".join(f"{key} {value:.6f}" for key, value in row["values"][name].items())
        print(f"{name:28}{seconds:9.3f}{ratio:8.1f}  {shown}")
    if (both := row["times_faster"].get("anomalib both")) is not None:
        print(f"{'anomalib, both metrics':28}{both * row['seconds']['ours']:9.3f}{both:8.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
