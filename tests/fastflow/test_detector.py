"""One interface to a model, its checkpoint and its export: the same facts, the same scores."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fastflow.checkpoint import save_checkpoint
from fastflow.detector import Detector, Images
from fastflow.export.about import write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.runner import open_export
from fastflow.export.write import write_onnx
from fastflow.model import FastFlow
from fastflow.trained import TrainedDetector
from tests.conftest import SIZE, THRESHOLD, shake, tiny_config


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).integers(0, 256, (3, 3, SIZE, SIZE), dtype=np.uint8)


@pytest.fixture
def trained() -> TrainedDetector:
    model = FastFlow(tiny_config(flow_steps=1)).eval()
    shake(model.flows, scale=0.02)
    return TrainedDetector(model=model, threshold=THRESHOLD, category="plates", version="1")


def exported(detector: TrainedDetector, folder: Path) -> Path:
    folder.mkdir()
    write_onnx(ScoringGraph(detector.model, threshold=0.5), folder)
    write_about(
        folder, runtime="onnx", precision="fp32", category=detector.category, model=detector.version,
        frame=detector.frame, threshold=detector.threshold,
    )  # fmt: skip
    return folder


def test_model_checkpoint_and_export_answer_alike(trained: TrainedDetector, images: Images, tmp_path: Path) -> None:
    with torch.no_grad():
        expected = trained.model(torch.from_numpy(images))
    middle = float(expected.pred_score.median())
    trained = replace(trained, threshold=THRESHOLD | {"image": middle})
    trained.save(tmp_path / "plates")
    checkpoint = TrainedDetector.load(tmp_path / "plates")
    assert re.fullmatch("[0-9a-f]{12}", checkpoint.version)
    both: list[Detector] = [trained, checkpoint]
    for detector in both:
        assert (detector.category, detector.frame, detector.threshold) == (
            "plates",
            trained.frame,
            trained.threshold,
        )
        found = detector.predict(images)
        assert np.array_equal(found.pred_score, expected.pred_score.numpy())
        assert np.array_equal(found.anomaly_map, expected.anomaly_map.numpy())
        assert found.pred_label.tolist() == (expected.pred_score > middle).long().tolist()
    export: Detector = open_export(exported(checkpoint, tmp_path / "export"))
    assert (export.category, export.frame, export.threshold) == ("plates", trained.frame, trained.threshold)
    assert export.version == f"{checkpoint.version} onnx-fp32"
    np.testing.assert_allclose(export.predict(images).pred_score, expected.pred_score.numpy(), rtol=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "0.5", None])
def test_a_threshold_that_would_call_every_part_good_is_refused(trained: TrainedDetector, value: object) -> None:
    with pytest.raises(ValueError, match=r"threshold: image is .*; allowed: a finite number"):
        replace(trained, threshold=THRESHOLD | {"image": value})


def test_images_may_be_read_only_or_lie_in_memory_otherwise(trained: TrainedDetector, images: Images) -> None:
    expected = trained.predict(images).pred_score
    mirrored = np.ascontiguousarray(images[..., ::-1])[..., ::-1]
    mirrored.flags.writeable = False
    np.testing.assert_allclose(trained.predict(mirrored).pred_score, expected, rtol=1e-5)


def test_a_checkpoint_without_a_category_takes_that_of_whoever_opens_it(
    trained: TrainedDetector, tmp_path: Path
) -> None:
    save_checkpoint(trained.model, tmp_path / "a", threshold=THRESHOLD)
    assert TrainedDetector.load(tmp_path / "a").category == ""
    named = TrainedDetector.load(tmp_path / "a", category="plates", version="fastflow-plates/3")
    assert (named.category, named.version) == ("plates", "fastflow-plates/3")


@pytest.mark.slow
def test_an_export_is_opened_without_pytorch_and_mlflow(trained: TrainedDetector, tmp_path: Path) -> None:
    folder = exported(trained, tmp_path / "export")
    script = (
        "import sys, numpy as np\n"
        "from pipelines.registry.detectors import open_detector\n"
        f"found = open_detector({str(folder)!r}, threads=1).predict(np.zeros((1, 3, {SIZE}, {SIZE}), np.uint8))\n"
        "assert found.pred_score.shape == (1,)\n"
        "assert not {'torch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=200)
