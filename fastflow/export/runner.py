"""An exported model, opened by its runtime: images in, scores out. No PyTorch unless the format is PyTorch's."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastflow.detector import Images, Scores
from fastflow.export.about import BadExport, read_about, verify

FILES = {"onnx": "model.onnx", "openvino": "model.xml", "torch": "model.pt2"}
PRECISIONS = {"onnx": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8"), "torch": ("fp32",)}
INPUT, OUTPUTS = "images", ("pred_score", "pred_label", "anomaly_map")


@dataclass(frozen=True, eq=False)
class ExportedDetector:
    """A `fastflow.detector.Detector` by a runtime's function; `about` is its export.json."""

    run: Callable[[Images], Scores]
    about: dict[str, Any]

    @property
    def category(self) -> str:
        return str(self.about["category"])

    @property
    def version(self) -> str:
        return f"{self.about['model']} {self.about['format']}-{self.about['precision']}"

    @property
    def image_size(self) -> tuple[int, int]:
        height, width = self.about["image_size"]
        return height, width

    @property
    def threshold(self) -> dict[str, Any]:
        return dict(self.about["threshold"])

    def predict(self, images: Images) -> Scores:
        return self.run(images)


def open_export(folder: Path, *, threads: int | None = None) -> ExportedDetector:
    """The model of an export folder, after its files were verified; `threads`: of the processor, by default all cores.

    Raises:
        BadExport: a file is absent or not what was written.
    """
    about = read_about(folder)
    verify(folder, about)
    run = open_file(folder, runtime=about["format"], precision=about["precision"], threads=threads)
    return ExportedDetector(run, about)


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
