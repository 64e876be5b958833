"""A checkpoint as ONNX for a server: a process of its own, so that the server never holds PyTorch nor stops for it.

Where it is served, no images of the category need be there: what was exported is compared on variants of the image
that was registered with the model, or of noise where there is none.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fastflow.decode import Sent, read_image
from fastflow.detector import Images
from fastflow.export.about import write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.parity import compare, require_parity
from fastflow.export.runner import open_file
from fastflow.export.write import write_onnx
from pipelines.core.stage import exit_code
from pipelines.registry.checkpoints import checkpoint_of
from pipelines.registry.registry import EXAMPLE, example_file

VARIANTS = 24


def convert(name: str, to: Path) -> None:
    """Raises NotTheSame where the export scores otherwise."""
    os.nice(10)
    torch.set_num_threads(1)
    with checkpoint_of(name) as named:
        detector = named.open()
        size = detector.image_size
        to.mkdir(parents=True)
        write_onnx(ScoringGraph(detector.model, threshold=detector.threshold["image"]), to, image_size=size)
        images = variants(example(named.folder, size))
        detector.model.fused = False  # by its definition
        table = compare(detector.predict, open_file(to, runtime="onnx", precision="fp32"), images)
        require_parity(table, precision="fp32")
    write_about(
        to,
        runtime="onnx",
        precision="fp32",
        category=detector.category,
        model=detector.version,
        image_size=size,
        threshold=detector.threshold["image"],
    )


def example(checkpoint: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image (H, W, 3) registered with a model, which lies beside the checkpoint's folder; else noise."""
    for folder in list(checkpoint.parents)[:2]:
        if (folder / EXAMPLE).is_file():
            return read_image(Sent(example_file(folder)), image_size=size)
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def variants(pixels: NDArray[np.uint8]) -> Images:
    """The image shifted and brightened by chance, the same each time: (N, 3, H, W)."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(VARIANTS):
        moved = np.roll(pixels, tuple(rng.integers(-32, 33, 2)), axis=(0, 1)).astype(np.float64)
        made.append((moved * rng.uniform(0.7, 1.3) + rng.normal(0, 5, pixels.shape)).clip(0, 255).astype(np.uint8))
    return np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args()
    convert(args.model, args.to)


if __name__ == "__main__":
    sys.exit(exit_code(main))
