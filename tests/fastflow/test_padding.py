"""Padding trains, calibrates and scores nothing: a padded picture is its frame without what lies beside the picture."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from fastflow.augment import augmented_features
from fastflow.crossfit import score_normal
from fastflow.data import read_pictures
from fastflow.evaluation import measure, score_images
from fastflow.features import FeatureStorage, extract_features, features_of
from fastflow.flow import Flow
from fastflow.index import list_category
from fastflow.model import FastFlow
from fastflow.operating import operating_point
from fastflow.padding import continued, inside_of, inside_pixels, inside_positions
from fastflow.score import SCORES, image_score, raw_score
from fastflow.train import Training, calibrate
from tests.conftest import SIZE, detector_of, draw_square, shake, tiny_config
from tests.fastflow.roi_kit import images

CPU = torch.device("cpu")
WHOLE, SLIM, LOW = (SIZE, SIZE), (SIZE, 24), (32, SIZE)
SIZES = torch.tensor([WHOLE, SLIM, LOW])


@pytest.fixture
def model() -> FastFlow:
    made = FastFlow(tiny_config(letterbox=True)).eval()
    shake(made.flows, scale=0.05)
    return made


def test_what_lies_in_the_padding_changes_nothing(model: FastFlow) -> None:
    first = images()
    other = torch.where(inside_pixels(SIZES, WHOLE), first, images(1))
    for one, two in zip(model(first, SIZES), model(other, SIZES), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
    features, more = (model.extract(x, inside_pixels(SIZES, WHOLE)) for x in (first, other))
    assert model.loss(features) == model.loss(more)


def test_whole_pictures_are_scored_as_without_padding_also_beside_padded_ones(model: FastFlow) -> None:
    alone, among = model(images()[:1]), model(images(), SIZES)
    torch.testing.assert_close(among.pred_score[:1], alone.pred_score, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(among.anomaly_map[:1], alone.anomaly_map, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("fused", [False, True])
def test_the_loss_is_the_likelihood_of_the_pictures_positions(model: FastFlow, fused: bool) -> None:
    model.fused = fused
    features = model.extract(images(), inside_pixels(SIZES, WHOLE))
    nats, values = 0.0, 0
    for flow, f, inside in zip(model.flows, features, map(inside_of, features), strict=True):
        assert isinstance(flow, Flow)
        z, log_det = flow.forward_positions(torch.where(inside, f, 0.0))
        log_prob = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1) + log_det
        nats -= float(log_prob[inside[:, 0]].sum())
        values += int(inside.sum()) * f.shape[1]
    assert values < sum(f.numel() for f in features)
    assert model.loss(features).item() == pytest.approx(nats / values / math.log(2), rel=1e-5)


def test_features_are_normalised_over_the_picture_alone(model: FastFlow) -> None:
    for f in model.extract(images(), inside_pixels(SIZES, WHOLE)):
        for one in f:
            seen = one[:, one[0].isfinite()]
            assert seen.mean().item() == pytest.approx(0, abs=1e-4)
            assert seen.var(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_positions_count_where_they_see_at_least_half_a_picture() -> None:
    inside = inside_positions(inside_pixels(torch.tensor([[64, 24], [64, 20], [64, 28]]), WHOLE), (4, 4))
    assert inside[:, 0, 0].sum(dim=1).tolist() == [2, 1, 2]
    assert inside[:, 0, 0, 0].all()


def test_scores_go_on_beyond_the_picture_as_they_do_beyond_the_frame() -> None:
    scores = torch.rand(1, 4, 6)
    inside = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    inside[..., :3, :4] = True
    expected = functional.pad(scores[:, None, :3, :4], (0, 2, 0, 1), mode="replicate")[:, 0]
    torch.testing.assert_close(continued(scores, inside), expected)


def test_the_share_of_top_pixels_is_that_of_the_picture() -> None:
    maps, inside = torch.rand(2, 1, 20, 20), torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    inside[0, :, :, :10], inside[1] = True, True
    found = image_score(maps, top_fraction=0.1, inside=inside)
    for one, seen, score in zip(maps, inside, found, strict=True):
        values = one[seen].sort(descending=True).values
        assert score.item() == pytest.approx(values[: round(0.1 * len(values))].mean().item())
    assert image_score(maps, top_fraction=0.0, inside=inside)[0] == maps[0, 0, :, :10].max()


def mixed_category(folder: Path) -> Path:
    """Noisy plates, and plates that are half as wide; of each, some with a bright square."""
    for split, kind, count in (("train", "good", 8), ("test", "good", 4), ("test", "square", 4)):
        (folder / split / kind).mkdir(parents=True)
        for i in range(count):
            pixels, mask = draw_square(seed=100 * len(kind) + i, defect=kind == "square")
            width = SIZE // 2 if i % 2 else SIZE
            if kind == "square" and not mask[:, :width].any():
                width = SIZE
            Image.fromarray(pixels[:, :width]).save(folder / split / kind / f"{i}.png")
            if kind == "square":
                (folder / "ground_truth/square").mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask[:, :width]).save(folder / f"ground_truth/square/{i}_mask.png")
    return folder


def test_calibration_and_threshold_leave_padding_out(tmp_path: Path, model: FastFlow) -> None:
    paths = sorted((mixed_category(tmp_path) / "train/good").iterdir())
    features = extract_features(model, paths, batch_size=3, device=CPU)
    settings = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.0, "noise": (0.1, 0.1)}
    list(Training(model, torch.arange(8), seed=0, **settings).run(features))  # type: ignore[arg-type]
    calibrate(model, features, batch_size=3)
    weight = SCORES["likelihood"].log_det_weight
    with torch.no_grad():
        for scale, (f, (z, log_det)) in enumerate(zip(features, model.latents(features), strict=True)):
            seen = raw_score(z, log_det, log_det_weight=weight)[f[:, 0].isfinite()]
            assert len(seen) == 6 / 8 * f[:, 0].numel()
            assert model.normal_center[scale].item() == pytest.approx(seen.quantile(0.99).item(), rel=0.02)
            assert model.normal_spread[scale].item() == pytest.approx(seen.std().item(), rel=1e-3)
    normal = score_normal(model, features, batch_size=3)
    point = operating_point(normal, false_reject_rate=0.1, bounds=model.rule.bounds)
    scored = score_images(detector_of(model), paths, batch_size=3)
    pixels = np.concatenate([one[::4, ::4].ravel() for one in scored.anomaly_maps])
    assert point["low"] == pytest.approx(float(np.median(pixels)), rel=1e-4)
    assert normal.pred_score.numpy() == pytest.approx(scored.pred_score, rel=1e-4)


def test_maps_and_metrics_are_of_the_pictures(tmp_path: Path, model: FastFlow) -> None:
    folder = mixed_category(tmp_path)
    index = list_category(folder).query("split == 'test'").reset_index(drop=True)
    paths = [folder / path for path in index["image_path"]]
    scored = score_images(detector_of(model), paths, batch_size=3)
    assert [one.shape for one in scored.anomaly_maps] == scored.shapes
    assert {SIZE // 2, SIZE} == {one.shape[1] for one in scored.anomaly_maps}
    assert all(np.isfinite(one).all() for one in scored.anomaly_maps)
    assert all(value.value is not None for value in measure(index, scored, folder).values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kept_features_remember_their_padding(tmp_path: Path, model: FastFlow, dtype: torch.dtype) -> None:
    paths = sorted((mixed_category(tmp_path) / "train/good").iterdir())
    room = FeatureStorage(dtype, memory_bytes=0, folder=tmp_path)
    kept = extract_features(model, paths, batch_size=3, device=CPU, storage=room)
    rows = torch.tensor([5, 0])
    for f in features_of(kept, rows, device=CPU):
        assert inside_of(f).sum(dim=(1, 2, 3)).tolist() == [f[0, 0].numel() / 2, f[0, 0].numel()]
        assert (f + 0.1 * torch.randn_like(f)).isinf().sum() == f[0].numel() / 2, "noise leaves the marks"


def test_a_flipped_picture_takes_its_padding_along(tmp_path: Path, model: FastFlow) -> None:
    pictures = read_pictures(sorted((mixed_category(tmp_path) / "train/good").iterdir()), model.frame)
    features = augmented_features(model, pictures, ["hflip"], batch_size=2)
    slim = torch.tensor([1] * 12)
    found = features(slim, torch.Generator().manual_seed(0))[0]
    left = inside_of(found)[:, 0, 0, 0]
    assert 0 < int(left.sum()) < len(slim)
    assert torch.equal(inside_of(found)[:, 0, 0, -1], ~left)
