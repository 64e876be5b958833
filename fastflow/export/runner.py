"""An exported model, opened by its runtime: images in, scores out. No PyTorch unless the format is PyTorch's."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastflow.export.about import BadExport, read_about, verify

FILES = {"onnx": "model.onnx", "openvino": "model.xml", "torch": "model.pt2"}
PRECISIONS = {"onnx": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8"), "torch": ("fp32",)}
INPUT, OUTPUTS = "images", ("pred_score", "pred_label", "anomaly_map")

Images = NDArray[np.uint8]


class Scores(NamedTuple):
    """pred_score (B,) float32; pred_label (B,) int64, 1 above the threshold; anomaly_map (B, 1, H, W) float32."""

    pred_score: NDArray[np.float32]
    pred_label: NDArray[np.int64]
    anomaly_map: NDArray[np.float32]


class Export(NamedTuple):
    """An open export: `run` takes uint8 images (B, 3, H, W) of `image_size`; `about` is its export.json."""

    run: Callable[[Images], Scores]
    about: dict[str, Any]

    @property
    def image_size(self) -> tuple[int, int]:
        height, width = self.about["image_size"]
        return height, width


def open_export(folder: Path, *, threads: int | None = None) -> Export:
    """The model of an export folder, after its files were verified; `threads`: of the processor, by default all cores.

    Raises:
        BadExport: a file is absent or not what was written.
    """
    about = read_about(folder)
    verify(folder, about)
    run = open_file(folder, runtime=about["format"], precision=about["precision"], threads=threads)
    return Export(run, about)


def open_file(folder: Path, *, runtime: str, precision: str, threads: int | None = None) -> Callable[[Images], Scores]:
    """The model file of a folder, as a function; `runtime` is its format. Raises BadExport where it is not here."""
    package = {"onnx": "onnxruntime"}.get(runtime, runtime)
    if importlib.util.find_spec(package) is None:
        raise BadExport(f"{package} is not installed here; install it, or use another format of the model")
    path, threads = folder / FILES[runtime], threads or os.cpu_count() or 1
    match runtime:
        case "onnx":
            return _open_onnx(path, threads)
        case "openvino":
            return _open_openvino(path, precision, threads)
        case _:
            return _open_torch(path)


def _open_onnx(path: Path, threads: int) -> Callable[[Images], Scores]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: Scores(*session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(images)}))


def _open_openvino(path: Path, precision: str, threads: int) -> Callable[[Images], Scores]:
    import openvino

    core = openvino.Core()
    hint = {"bf16": "bf16"}.get(precision, "f32")  # by default OpenVINO takes bf16 where it can: other scores, unsaid
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()

    def run(images: Images) -> Scores:
        found = request.infer({INPUT: np.ascontiguousarray(images)})
        return Scores(*(np.array(found[name]) for name in OUTPUTS))

    return run


def _open_torch(path: Path) -> Callable[[Images], Scores]:
    import torch

    program = torch.export.load(path).module()

    def run(images: Images) -> Scores:
        with torch.inference_mode():
            return Scores(*(part.numpy() for part in program(torch.from_numpy(np.ascontiguousarray(images)))))

    return run
