"""Exports: the folded graph against the model's definition, each format against the checkpoint."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from fastflow.checkpoint import save_checkpoint
from fastflow.detector import Images, Scores
from fastflow.export.about import ABOUT, BadExport
from fastflow.export.graph import ScoringGraph, centred, enlargement
from fastflow.export.parity import LEAST_IMAGES, NotTheSame, compare, require_parity
from fastflow.export.runner import FILES, open_export, open_file
from fastflow.export.write import write_int8, write_onnx, write_openvino, write_torch
from fastflow.files import file_sha256
from fastflow.model import FastFlow
from fastflow.score import merge_scales
from pipelines import prepare
from pipelines.core import progress
from pipelines.core.params import read_params
from pipelines.core.stage import exit_code
from pipelines.scoring import export
from tests.conftest import SIZE, shake, tiny_config, write_plates
from tests.stages import write_tiny_params

VARIANTS: list[dict[str, object]] = [
    {},
    {"couplings": 2, "conv3x3_only": False, "flow_steps": 3},
    {"score": "paper", "feature_norm": "none"},
    {"score": "nll", "feature_norm": "channel", "conditioner_clip": None},
    {"feature_norm": "layer_affine", "layers": (1,), "clamp": 1.5},
    {"backbone": "mobilenetv2_100", "layers": (1, 2)},
    {"backbone": "vit_tiny_patch16_224", "layers": (1,), "image_size": (64, 96)},
]


def model_of(**changes: object) -> FastFlow:
    model = FastFlow(tiny_config(**changes)).eval()
    shake(model.flows, scale=0.05)
    with torch.no_grad():
        model.normal_center.add_(torch.rand_like(model.normal_center))
        model.normal_spread.mul_(0.4)
        for module in model.backbone.modules():  # a new batch norm folds to nothing: give it something to fold
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model


def images(count: int, size: tuple[int, int] = (SIZE, SIZE)) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, 3, *size), dtype=np.uint8)


def scores_of(model: FastFlow, threshold: float, pixels: NDArray[np.uint8]) -> Scores:
    with torch.no_grad():
        found = model(torch.from_numpy(pixels))
    score = found.pred_score.numpy()
    return Scores(score, (score > threshold).astype(np.int64), found.anomaly_map.numpy())


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_folded_graph_is_the_model(changes: dict[str, object]) -> None:
    model = model_of(**changes)
    model.fused = False
    pixels = torch.from_numpy(images(3, model.config.image_size))
    expected, (pred_score, pred_label, anomaly_map) = model(pixels), ScoringGraph(model, threshold=0.5)(pixels)
    torch.testing.assert_close(anomaly_map, expected.anomaly_map, rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(pred_score, expected.pred_score, rtol=2e-5, atol=2e-6)
    assert pred_label.tolist() == (expected.pred_score > 0.5).tolist()


def test_batch_norms_are_folded_away() -> None:
    graph = ScoringGraph(model_of(), threshold=0.5)
    assert not [m for m in graph.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_broken_latents_are_anomalous_in_the_graph_too() -> None:
    model = model_of()
    with torch.no_grad():
        for parameter in model.flows.parameters():
            parameter.fill_(torch.nan)
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


def write(folder: Path, runtime: str, precision: str, model: FastFlow, threshold: float) -> None:
    graph, size = ScoringGraph(model, threshold=threshold), model.config.image_size
    if runtime == "torch":
        write_torch(graph, folder, image_size=size)
        return
    write_onnx(graph, folder, image_size=size)
    if precision == "int8":
        write_int8(folder, images(16))
    if runtime == "openvino":
        write_openvino(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize(
    ("runtime", "precision"),
    [
        ("onnx", "fp32"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
        ("torch", "fp32"),
        ("onnx", "int8"),
        ("openvino", "int8"),
    ],
)
def test_every_format_scores_as_the_checkpoint_alone_and_in_batches(
    tmp_path: Path, runtime: str, precision: str
) -> None:
    model = model_of()
    pixels = images(LEAST_IMAGES)
    threshold = float(np.sort(scores_of(model, 0, pixels).pred_score)[[9, 10]].mean())  # half are anomalous
    write(tmp_path, runtime, precision, model, threshold)
    assert [p.name for p in tmp_path.glob("model.[oxp]*")] == [FILES[runtime]]
    run = open_file(tmp_path, runtime=runtime, precision=precision, threads=1)
    table = compare(lambda batch: scores_of(model, threshold, batch), run, pixels)
    if precision == "fp32":
        require_parity(table, precision=precision)
        assert table["export_label"].sum() == LEAST_IMAGES / 2
    else:
        assert table["relative_difference"].max() < 0.1
    assert run(pixels[:5]).anomaly_map.shape == (5, 1, SIZE, SIZE)


def test_an_export_that_scores_otherwise_is_refused() -> None:
    model, pixels = model_of(), images(LEAST_IMAGES)
    reference = scores_of(model, 0.5, pixels)

    def rows_of(batch: NDArray[np.uint8]) -> NDArray[np.intp]:
        return np.array([int(np.flatnonzero((pixels == image).all(axis=(1, 2, 3)))[0]) for image in batch])

    def answers(scores: Scores, batch: NDArray[np.uint8]) -> Scores:
        rows = rows_of(batch)
        return Scores(scores.pred_score[rows], scores.pred_label[rows], scores.anomaly_map[rows])

    def table(other: Scores) -> object:
        return compare(lambda b: answers(reference, b), lambda b: answers(other, b), pixels)

    require_parity(table(reference), precision="fp32")  # type: ignore[arg-type]
    one_off = reference.pred_score.copy()
    one_off[7] *= 1.0002
    with pytest.raises(NotTheSame, match=r"differ by up to 0\.0002 of the checkpoint's; allowed in fp32: 0\.0001"):
        require_parity(table(reference._replace(pred_score=one_off)), precision="fp32")  # type: ignore[arg-type]
    one_off[7] = np.nan
    with pytest.raises(NotTheSame, match="differ by up to nan"):
        require_parity(table(reference._replace(pred_score=one_off)), precision="int8")  # type: ignore[arg-type]
    flipped = reference.pred_label.copy()
    flipped[3] = 1 - flipped[3]
    with pytest.raises(NotTheSame, match="1 of 20 images another verdict; allowed in fp32: 0%"):
        require_parity(table(reference._replace(pred_label=flipped)), precision="fp32")  # type: ignore[arg-type]
    few = compare(lambda b: answers(reference, b), lambda b: answers(reference, b), pixels[:19])
    with pytest.raises(NotTheSame, match="19 images are too few"):
        require_parity(few, precision="fp32")


def test_an_export_folder_that_was_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILES["onnx"]).write_bytes(b"model")
    about = {"format": "onnx", "precision": "fp32", "image_size": [8, 8]}
    digest = {FILES["onnx"]: file_sha256(tmp_path / FILES["onnx"])}
    (tmp_path / ABOUT).write_text(json.dumps(about | {"sha256": digest}))
    (tmp_path / FILES["onnx"]).write_bytes(b"other")
    with pytest.raises(BadExport, match=r"model\.onnx is missing or damaged; export the model again"):
        open_export(tmp_path)
    (tmp_path / ABOUT).write_text("{}")
    with pytest.raises(BadExport, match=r"is not an exported model .*run: fastflow export"):
        open_export(tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(BadExport, match="is not an exported model"):
        open_export(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_the_command_writes_what_scores_equally_and_nothing_else(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    caplog.set_level("INFO")
    write_tiny_params(folder, epochs=1)
    write_plates(folder / "images/plates", num_train=18, num_test=4)
    params = read_params(folder / "params.yaml")
    params = params.model_copy(update={"data": params.data.model_copy(update={"root": "images"})})
    monkeypatch.setattr(export, "read_params", lambda: params)
    prepare.prepare("plates", params)
    threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
    save_checkpoint(model_of(), Path("models/plates"), category="plates", threshold=threshold)

    def command() -> int:
        monkeypatch.setattr("sys.argv", ["export", "--category", "plates", "--format", "onnx"])
        return exit_code(export.main)

    assert command() == 0
    assert "comparing: 100% 60/60" in caplog.text  # 20 images: the checkpoint, and the export in two ways
    made = Path("exports/plates/onnx-fp32")
    opened = open_export(made)
    assert (opened.about["category"], opened.about["parity"]["num_images"]) == ("plates", LEAST_IMAGES)
    table = pd.read_csv(made / "parity.csv")
    assert table["split"].value_counts().to_dict() == {"train": 12, "test": 8}
    assert (table["export_score"] > 0).all()

    before = (made / ABOUT).read_bytes()

    def mirrored(images: Images) -> Scores:
        return opened.predict(images[..., ::-1])

    monkeypatch.setattr(export, "open_file", lambda *_, **__: mirrored)
    assert command() == 3
    assert "the export's scores differ by up to" in capsys.readouterr().err
    assert [path.name for path in Path("exports/plates").iterdir()] == ["onnx-fp32"]
    assert (made / ABOUT).read_bytes() == before
