"""A scoring graph to a file that other runtimes open: ONNX, OpenVINO's IR."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import openvino
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from fastflow.detector import Images
from fastflow.export.about import FILES
from fastflow.export.graph import ScoringGraph
from fastflow.export.runner import INPUT, OUTPUTS, SIZES, TILE_OUTPUTS, inputs_of


def write_onnx(graph: ScoringGraph, folder: Path) -> None:
    """`model.onnx`, for any batch size: inputs `images` and, where the graph takes them, `sizes`; outputs `pred_score`,
    `pred_label`, `anomaly_map`; of tiles, `maps`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about PyTorch's next versions
        program = torch.onnx.export(
            graph,
            _example(graph),
            input_names=list(_any_batch(graph)),
            output_names=list(TILE_OUTPUTS if graph.of_tiles else OUTPUTS),
            dynamic_shapes=_any_batch(graph),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.save(folder / FILES["onnx"][0])


def write_openvino(folder: Path) -> None:
    """`model.xml` and `model.bin` in place of the folder's `model.onnx`."""
    source = folder / FILES["onnx"][0]
    openvino.save_model(openvino.Core().read_model(source), folder / FILES["openvino"][0], compress_to_fp16=False)
    source.unlink()


def write_int8(folder: Path, images: Images) -> None:
    """The folder's `model.onnx` with the convolutions of its flows in int8, their ranges taken from `images`
    (N, 3, H, W). The backbone stays: what rounding does to its features, the flows take for defects.

    Weights have 7 bits: with 8, processors without VNNI overflow where they add up products.
    """
    path = folder / FILES["onnx"][0]
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(path, prepared)
        quantize_static(
            prepared,
            path,
            _Calibration(images, [one.name for one in onnx.load(path, load_external_data=False).graph.input]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],  # of no other are ranges needed; a map's NaN would have none
            nodes_to_quantize=_convolutions_of_flows(prepared),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def _convolutions_of_flows(path: Path) -> list[str]:
    nodes = [node for node in onnx.load(path).graph.node if node.op_type == "Conv"]
    return [node.name for node in nodes if any(name.startswith("flows.") for name in node.input)]


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """One image at a time, as ONNX Runtime asks for them."""

    def __init__(self, images: Images, names: list[str]) -> None:
        self._left, self._names = iter(images), names

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._left, None)
        return None if image is None else inputs_of(image[None], None, self._names)


def _example(graph: ScoringGraph) -> tuple[Tensor, ...]:
    images = torch.zeros(2, 3, *graph.image_size, dtype=torch.uint8)
    return (images, torch.tensor([graph.image_size] * 2)) if graph.takes_sizes else (images,)


def _any_batch(graph: ScoringGraph) -> dict[str, dict[int, Any]]:
    """The inputs' names, all of one batch, whose size is open."""
    batch = torch.export.Dim("batch")
    return {name: {0: batch} for name in ((INPUT, SIZES) if graph.takes_sizes else (INPUT,))}
