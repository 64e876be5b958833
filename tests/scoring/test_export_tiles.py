"""Exports of a model that looks at tiles: whole pictures are scored as by the checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastflow.export.about import ABOUT, BadExport, read_about, write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.runner import open_export
from fastflow.sealed import sealed
from fastflow.tiled import tile_run, tiling_of
from fastflow.tiling import Tiling, part_size
from fastflow.trained import TrainedDetector
from pipelines.scoring import export
from tests.conftest import SIZE, THRESHOLD
from tests.scoring.export_kit import images, model_of

PICTURE = (100, 150)
SIZES = np.array([PICTURE, (100, 40), (24, 150), PICTURE])


def detector_with(threshold: float = 0.5) -> TrainedDetector:
    model = model_of(letterbox=True, tiles={"picture": PICTURE, "overlap": 0.25})
    return TrainedDetector(model=model, threshold=THRESHOLD | {"image": threshold}, category="plates", version="v1")


def tiling_with(detector: TrainedDetector) -> Tiling:
    tiling = tiling_of(detector.model.config, detector.threshold["image"])
    assert tiling is not None
    return tiling


def test_the_graph_is_that_of_a_tile() -> None:
    detector = detector_with()
    detector.model.fused = False
    pixels, sizes = images(3), np.array([(SIZE, SIZE), (SIZE, 40), (24, SIZE)])
    graph = ScoringGraph(detector.model, threshold=0.5)
    (maps,) = graph(torch.from_numpy(pixels), torch.from_numpy(sizes))
    assert maps.shape == (3, 2, SIZE, SIZE)
    for one, expected in zip(maps.split(1, dim=1), tile_run(detector.model)(pixels, sizes), strict=True):
        for tile, own, (height, width) in zip(one, expected, sizes, strict=True):
            inside = np.s_[:, :height, :width]
            np.testing.assert_allclose(tile.numpy()[inside], own[inside], rtol=5e-5, atol=5e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize(("runtime", "precision"), [("onnx", "fp32"), ("openvino", "fp32"), ("onnx", "int8")])
def test_whole_pictures_are_scored_as_by_the_checkpoint(tmp_path: Path, runtime: str, precision: str) -> None:
    pixels = images(4, PICTURE)
    threshold = float(np.median(detector_with().predict(pixels, SIZES).pred_score))
    detector = detector_with(threshold)
    expected = detector.predict(pixels, SIZES)
    calibration = images(16) if precision == "int8" else None
    export.write_model(detector, tmp_path, runtime=runtime, precision=precision, images=calibration)
    write_about(
        tmp_path, runtime=runtime, precision=precision, category="plates", model="v1", frame=detector.frame,
        threshold=detector.threshold, tiling=tiling_with(detector),
    )  # fmt: skip
    opened = open_export(tmp_path, threads=1)
    assert opened.frame == detector.frame
    found = opened.predict(pixels, SIZES)
    far = 0.1 if precision == "int8" else 1e-4
    np.testing.assert_allclose(found.pred_score, expected.pred_score, rtol=far)
    np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, rtol=far, atol=far)  # NaN where that is
    if precision == "fp32":
        assert found.pred_label.tolist() == expected.pred_label.tolist()
        assert 0 < expected.pred_label.sum() < 4


@pytest.mark.parametrize(
    ("tiles", "sentence"),
    [
        ({"size": [64, 64], "overlap": 1, "top_fraction": 0.02}, "overlap is 1; allowed: below 1"),
        ({"size": [101, 64], "overlap": 0.25, "top_fraction": 0.02}, "101x64 pixels .* is larger than the picture"),
        ({"size": [64, 64], "overlap": 0.25, "top_fraction": 2}, "top_fraction is 2; allowed: a number from 0 to 1"),
        ({"size": [64, 64], "overlap": 0.25}, "top_fraction is missing"),
        (None, "tiles is None"),
    ],
)
def test_a_description_of_tiles_that_cannot_be_is_refused(tmp_path: Path, tiles: Any, sentence: str) -> None:
    detector = detector_with()
    (tmp_path / "model.onnx").write_bytes(b"a model")
    write_about(
        tmp_path, runtime="onnx", precision="fp32", category="plates", model="v1", frame=detector.frame,
        threshold=detector.threshold, tiling=tiling_with(detector),
    )  # fmt: skip
    about = read_about(tmp_path)
    assert about["tiles"] == {"size": [SIZE, SIZE], "overlap": 0.25, "top_fraction": 0.02}
    (tmp_path / ABOUT).write_text(sealed(about | {"tiles": tiles}))
    with pytest.raises(BadExport, match=sentence):
        read_about(tmp_path)


def test_a_part_of_a_picture_that_exports_are_compared_on_has_several_tiles() -> None:
    detector = detector_with()
    assert part_size(tiling_with(detector), detector.frame) == (96, 96)
