"""An exported model, opened by its runtime: images in, scores out. No PyTorch is needed."""

import importlib.util
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastflow.detector import Images, Run, Scores, Sizes
from fastflow.export.about import FILES, BadExport, read_about, verify
from fastflow.frame import Frame
from fastflow.pixels.meaning import PLAIN, PixelRule
from fastflow.roi import as_roi
from fastflow.tiling import TileMaps, Tiling

INPUT, SIZES, OUTPUTS = "images", "sizes", ("pred_score", "pred_label", "anomaly_map")
TILE_OUTPUTS = ("maps",)
Outputs = Callable[[Images, Sizes | None], Sequence[NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class ExportedDetector:
    """A `fastflow.detector.Detector` by a runtime's function; `about` is its export.json."""

    run: Run
    about: dict[str, Any]

    @property
    def category(self) -> str:
        return str(self.about["category"])

    @property
    def version(self) -> str:
        return f"{self.about['model']} {self.about['format']}-{self.about['precision']}"

    @property
    def frame(self) -> Frame:
        height, width = self.about["image_size"]
        pixels = self.about.get("pixels")
        if pixels is None:  # nor have older exports a grid
            return Frame(height, width, self.about.get("grid"), PLAIN)
        limits = pixels["value_range"]
        rule = PixelRule(tuple(limits) if limits else None, pixels["page"], pixels["version"])
        return Frame(height, width, self.about["grid"], rule, as_roi(self.about.get("roi")))

    @property
    def threshold(self) -> dict[str, Any]:
        return dict(self.about["threshold"])

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        return self.run(images, sizes)


def open_export(folder: Path, *, threads: int | None = None, sha256: str = "") -> ExportedDetector:
    """The model of an export folder, after its files were verified; `threads`: of the processor, by default all cores;
    `sha256`: of its export.json, where that is known.

    Raises:
        BadExport: a file is absent or not what was written, or the folder is not the expected one.
    """
    about = read_about(folder, sha256=sha256)
    run = open_file(
        folder,
        runtime=about["format"],
        precision=about["precision"],
        threads=threads,
        contents=verify(folder, about),
        tiling=tiling_of(about),
    )
    return ExportedDetector(run, about)


def open_file(
    folder: Path,
    *,
    runtime: str,
    precision: str,
    threads: int | None = None,
    contents: Sequence[bytes] | None = None,
    tiling: Tiling | None = None,
) -> Run:
    """The model file of a folder, as a function; `runtime` is its format. `contents`: of its files, as they were
    verified. A runtime gets bytes, not names: it would read further files, and map what may change later. `tiling`: of
    a graph of tiles.

    Raises:
        BadExport: the runtime is not here, or cannot open the file.
    """
    package = {"onnx": "onnxruntime"}.get(runtime, runtime)
    if importlib.util.find_spec(package) is None:
        raise BadExport(f"{package} is not installed here; install it, or use another format of the model")
    path, threads = folder / FILES[runtime][0], threads or os.cpu_count() or 1
    try:
        files = contents or [(folder / name).read_bytes() for name in FILES[runtime]]
        names = OUTPUTS if tiling is None else TILE_OUTPUTS
        if runtime == "onnx":
            outputs = _open_onnx(files[0], threads, names)
        else:
            outputs = _open_openvino(files[0], files[1], precision, threads, names)
    except Exception as error:  # a runtime raises any exception for a file that is no model
        raise BadExport(f"{path} is no model that {package} opens ({error}); export the model again") from error
    if tiling is not None:
        return tiling.over(lambda images, sizes: TileMaps(*np.split(outputs(images, sizes)[0], 2, axis=1)))
    return lambda images, sizes=None: Scores(*outputs(images, sizes))


def tiling_of(about: Mapping[str, Any]) -> Tiling | None:
    """How tiles become a picture's map and score, by an export.json; None: its model looks at pictures in one piece."""
    tiles = about.get("tiles")
    if tiles is None:
        return None
    height, width = tiles["size"]
    return Tiling((height, width), tiles["overlap"], tiles["top_fraction"], about["threshold"]["image"])


def inputs_of(images: Images, sizes: Sizes | None, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """By name, those that a model takes: one that stretches pictures asks for no sizes."""
    if sizes is None:
        sizes = np.tile(images.shape[2:], (len(images), 1))
    found: dict[str, NDArray[Any]] = {INPUT: np.ascontiguousarray(images), SIZES: np.ascontiguousarray(sizes, np.int64)}
    return {name: found[name] for name in names}


def _open_onnx(model: bytes, threads: int, outputs: Sequence[str]) -> Outputs:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # a model from bytes would look for further weights in the current folder, which no seal covers
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda images, sizes: session.run(list(outputs), inputs_of(images, sizes, names))


def _open_openvino(model: bytes, weights: bytes, precision: str, threads: int, outputs: Sequence[str]) -> Outputs:
    import openvino

    core = openvino.Core()
    hint = {"bf16": "bf16"}.get(precision, "f32")  # by default OpenVINO uses bf16 where it can, which changes scores
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(model, weights), "CPU", settings)
    request, names = compiled.create_infer_request(), [one.any_name for one in compiled.inputs]

    def run(images: Images, sizes: Sizes | None) -> list[NDArray[Any]]:
        found = request.infer(inputs_of(images, sizes, names))
        return [np.array(found[name]) for name in outputs]

    return run
