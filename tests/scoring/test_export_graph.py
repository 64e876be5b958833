"""The folded graph against the model's definition, for whole and for padded pictures."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from fastflow.export.graph import ScoringGraph, centred, enlargement
from fastflow.roi import roi_of
from fastflow.score import merge_scales
from tests.conftest import tiny_config
from tests.scoring.export_kit import images, model_of, sizes_of

VARIANTS: list[dict[str, object]] = [
    {},
    {"couplings": 2, "conv3x3_only": False, "flow_steps": 3},
    {"score": "paper", "feature_norm": "none"},
    {"score": "nll", "feature_norm": "channel", "conditioner_clip": None},
    {"feature_norm": "layer_affine", "layers": (1,), "clamp": 1.5},
    {"backbone": "mobilenetv2_100", "layers": (1, 2)},
    {"backbone": "vit_tiny_patch16_224", "layers": (1,), "image_size": (64, 96)},
]
PADDED: list[dict[str, object]] = [
    {"image_size": (64, 96)},
    {"score": "paper", "feature_norm": "none"},
    {"score": "nll", "feature_norm": "channel"},
    {"feature_norm": "layer_affine"},
    {"backbone": "tf_efficientnet_lite0", "layers": (1, 2, 3)},
    {"backbone": "vit_tiny_patch16_224", "layers": (1,), "image_size": (64, 96)},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_folded_graph_is_the_model(changes: dict[str, object]) -> None:
    model = model_of(**changes)
    model.fused = False
    pixels = torch.from_numpy(images(3, model.config.image_size))
    expected, (pred_score, pred_label, anomaly_map) = model(pixels), ScoringGraph(model, threshold=0.5)(pixels)
    torch.testing.assert_close(anomaly_map, expected.anomaly_map, rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(pred_score, expected.pred_score, rtol=2e-5, atol=2e-6)
    assert pred_label.tolist() == (expected.pred_score > 0.5).tolist()


@pytest.mark.parametrize("changes", PADDED, ids=str)
def test_the_folded_graph_is_the_model_for_padded_pictures(changes: dict[str, object]) -> None:
    model = model_of(letterbox=True, **changes)
    model.fused = False
    pixels, sizes = images(3, model.config.image_size), sizes_of(3, model)
    expected = model(torch.from_numpy(pixels), torch.from_numpy(sizes))
    pred_score, _, anomaly_map = ScoringGraph(model, threshold=0.5)(torch.from_numpy(pixels), torch.from_numpy(sizes))
    torch.testing.assert_close(anomaly_map, expected.anomaly_map, rtol=5e-5, atol=5e-6, equal_nan=True)
    torch.testing.assert_close(pred_score, expected.pred_score, rtol=5e-5, atol=5e-6)
    for found, (height, width) in zip(anomaly_map[:, 0], sizes, strict=True):
        assert found[:height, :width].isfinite().all()
        assert int(found.isfinite().sum()) == height * width, "a map ends with its picture"


@pytest.mark.parametrize("changes", [{"letterbox": True}, *PADDED], ids=str)
def test_the_folded_graph_is_the_model_in_a_region_of_interest(changes: dict[str, object]) -> None:
    size = tiny_config(**changes).image_size
    inside = np.zeros(size, bool)
    inside[10:40, 15:50], inside[50, 3:9] = True, True
    model = model_of(roi=roi_of(inside), **changes)
    model.fused = False
    pixels = torch.from_numpy(images(3, size))
    expected, (pred_score, _, anomaly_map) = model(pixels), ScoringGraph(model, threshold=0.5)(pixels)
    torch.testing.assert_close(anomaly_map, expected.anomaly_map, rtol=5e-5, atol=5e-6, equal_nan=True)
    torch.testing.assert_close(pred_score, expected.pred_score, rtol=5e-5, atol=5e-6)
    assert np.array_equal(anomaly_map[0, 0].isfinite(), inside)


def test_batch_norms_are_folded_away() -> None:
    graph = ScoringGraph(model_of(), threshold=0.5)
    assert not [m for m in graph.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_broken_latents_are_anomalous_in_the_graph_too() -> None:
    model = model_of()
    with torch.no_grad():
        for parameter in model.flows.parameters():
            parameter.fill_(1e30)  # finite, as a file may hold it; what comes of it is not
    pred_score, pred_label, _ = ScoringGraph(model, threshold=0.5)(torch.from_numpy(images(1)))
    assert pred_score.item() == pytest.approx(1)
    assert pred_label.item() == 1


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_matrices_enlarge_and_blur_as_the_map_is_made(sigma: float) -> None:
    scores = torch.rand(1, 5, 7)
    rows, columns = enlargement(5, 40, sigma=sigma).float(), enlargement(7, 48, sigma=sigma).float()
    expected = merge_scales([scores], image_size=(40, 48), smoothing=sigma / 40)[0, 0]
    torch.testing.assert_close(rows @ scores[0] @ columns.T, expected, rtol=1e-5, atol=1e-6)


class Centred(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return centred(features)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_layer_norm_of_large_maps_keeps_its_digits_in_other_runtimes(tmp_path: Path) -> None:
    features = 0.3 + torch.rand(1, 64, 64, 64).square()  # as many values as the first scale of ResNet18 at 256 px has
    expected = torch.nn.functional.layer_norm(features.double(), features.shape[1:], eps=1e-5)
    program = torch.onnx.export(Centred(), (features,), dynamo=True, verbose=False)
    assert program is not None
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: features.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-5)
