"""A checkpoint as ONNX for a server: a process of its own, so that the server neither imports PyTorch nor waits for it.

A server need not have images of the category: the export is compared on variants of the image that was registered
with the model, or of noise where there is none.
"""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fastflow.decode import NamedBytes
from fastflow.detector import Images, Sizes
from fastflow.export.about import write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.parity import compare, require_parity
from fastflow.export.runner import open_file
from fastflow.export.write import write_onnx
from fastflow.frame import Frame, read_framed
from fastflow.tiled import tiling_of
from fastflow.tiling import part_size
from pipelines.registry.checkpoints import checkpoint_of
from pipelines.registry.registry import EXAMPLE, example_file

NUM_VARIANTS = 24


def convert(name: str, to: Path, *, sha256: str) -> None:
    """Raises ParityError where the export scores differently."""
    os.nice(10)
    torch.set_num_threads(1)
    with checkpoint_of(name, sha256=sha256) as named:
        detector = named.open()
        to.mkdir(parents=True)
        write_onnx(ScoringGraph(detector.model, threshold=detector.threshold["image"]), to)
        tiling, frame = tiling_of(detector.model.config, detector.threshold["image"]), detector.frame
        height, width = part_size(tiling, frame) if tiling else (frame.height, frame.width)
        images = variants(example(named.folder, frame)[:height, :width])
        sizes = variant_sizes(frame._replace(height=height, width=width))
        detector.model.fused = False  # the reference implementation
        run = open_file(to, runtime="onnx", precision="fp32", tiling=tiling)
        table = compare(detector.predict, run, images, sizes)
        require_parity(table, precision="fp32")
    write_about(
        to,
        runtime="onnx",
        precision="fp32",
        category=detector.category,
        model=detector.version,
        frame=detector.frame,
        threshold=detector.threshold,
        tiling=tiling,
    )


def example(checkpoint: Path, frame: Frame) -> NDArray[np.uint8]:
    """The image (H, W, 3) registered with a model, which lies beside the checkpoint's folder; else noise."""
    for folder in list(checkpoint.parents)[:2]:
        if (folder / EXAMPLE).is_file():
            return read_framed(NamedBytes(example_file(folder)), frame).pixels
    return np.random.default_rng(0).integers(0, 256, (frame.height, frame.width, 3), dtype=np.uint8)


def variants(pixels: NDArray[np.uint8]) -> Images:
    """The image with random shifts and brightness, the same each time: (N, 3, H, W)."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(NUM_VARIANTS):
        moved = np.roll(pixels, tuple(rng.integers(-32, 33, 2)), axis=(0, 1)).astype(np.float64)
        made.append((moved * rng.uniform(0.7, 1.3) + rng.normal(0, 5, pixels.shape)).clip(0, 255).astype(np.uint8))
    return np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2))


def variant_sizes(frame: Frame) -> Sizes:
    """The size of the picture in each variant: smaller in every third one, where the model pads."""
    rng = np.random.default_rng(0)
    sizes = np.tile((frame.height, frame.width), (NUM_VARIANTS, 1))
    for one in sizes[::3] if frame.grid else []:
        axis = rng.integers(2)
        one[axis] = max(1, one[axis] // 2 // frame.grid) * frame.grid
    return sizes
