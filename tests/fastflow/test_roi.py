"""A region of interest: what lies outside changes no bit of a score, and travels with the model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.config import FastFlowConfig
from fastflow.data import read_pictures
from fastflow.errors import BadImage
from fastflow.evaluation import score_images
from fastflow.model import FastFlow
from fastflow.padding import inside_of, nearest
from fastflow.roi import COVER, as_roi, covered, roi_mask, roi_of
from fastflow.sealed import BadCheckpoint
from tests.conftest import SIZE, detector_of, tiny_config, write_plates
from tests.fastflow.roi_kit import bits, drawn, images, model_with, scribbled


@pytest.fixture
def model() -> FastFlow:
    return model_with(drawn(), letterbox=True)


@pytest.mark.parametrize("mask", [drawn(), ~drawn(), np.ones((9, 7), bool), np.eye(11, dtype=bool)])
def test_runs_are_the_mask(mask: NDArray[np.bool_]) -> None:
    roi = roi_of(mask)
    assert np.array_equal(roi_mask(roi), mask)
    lengths = list(map(int, roi.runs.split()))
    assert sum(lengths) == mask.size
    assert sum(lengths[1::2]) == mask.sum()
    assert as_roi(json.loads(json.dumps(roi._asdict()))) == roi


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [4, 4], "runs": "0 15"},
        {"shape": [4, 4], "runs": "16 0"},
        {"shape": [4, 4], "runs": "-1 17"},
        {"shape": [4, 0], "runs": "0 0"},
        {"shape": [4.0, 4], "runs": "0 16"},
        {"shape": [10**5, 10**5], "runs": f"0 {10**10}"},
        {"shape": [4, 4], "runs": "0 16", "more": 1},
        {"shape": [4, 4]},
        "0 16",
    ],
)
def test_what_is_no_region_is_refused_by_the_models_config(wrong: object) -> None:
    with pytest.raises(ValueError, match="model: roi is"):
        tiny_config(roi=wrong)
    with pytest.raises(ValueError, match="no region of interest; allowed: a mapping"):
        as_roi(wrong)
    with pytest.raises(ValueError, match="a pixel inside"):
        roi_of(np.zeros((3, 3), bool))


def test_pixels_outside_change_no_bit_of_map_and_score(model: FastFlow) -> None:
    first, inside = images(), torch.from_numpy(drawn())
    other = torch.where(inside, first, images(1))
    assert not torch.equal(first, other)
    for one, two in zip(model(first), model(other), strict=True):
        assert bits(one) == bits(two)
    changed = torch.where(inside, images(1), first)
    assert not torch.equal(model(first).pred_score, model(changed).pred_score)
    assert torch.equal(model(first).anomaly_map[0, 0].isfinite(), inside), "nothing but the region is scored"


def test_sizes_of_pictures_change_nothing_as_all_are_placed_alike(model: FastFlow) -> None:
    sizes = torch.tensor([[SIZE, SIZE // 2]] * 3)
    for one, two in zip(model(images()), model(images(), sizes), strict=True):
        assert bits(one) == bits(two)


@pytest.mark.parametrize("size", [SIZE, 150, 51])
def test_files_that_differ_outside_are_read_and_scored_alike(tmp_path: Path, size: int) -> None:
    """Also at another size than the model's: resizing takes nothing from beyond the edge."""
    mask = drawn(size)
    model = model_with(mask, letterbox=True)
    first = write_plates(tmp_path / "first", size=size, num_test=2)
    second = write_plates(tmp_path / "second", size=size, num_test=2)
    scribbled(second, mask, seed=5)
    found = []
    for folder in (first, second):
        scored = score_images(detector_of(model), sorted(folder.rglob("test/*/*.png")), batch_size=3)
        found.append((scored.pred_score.tobytes(), [one.tobytes() for one in scored.anomaly_maps]))
    assert found[0] == found[1]


def test_what_is_covered_is_what_lies_outside() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    found = np.asarray(covered(Image.fromarray(picture), roi_of(drawn())))
    inside = roi_mask(roi_of(drawn()), (128, 128))
    assert np.array_equal(inside[20:120:2, 20:120:2], drawn()[10:60, 10:60]), "scaled to pictures of the same shape"
    assert np.array_equal(found[inside], picture[inside])
    assert (found[~inside] == COVER).all()


def test_a_picture_of_another_shape_is_refused_by_name(tmp_path: Path, model: FastFlow) -> None:
    Image.new("RGB", (SIZE, 2 * SIZE)).save(tmp_path / "tall.png")
    Image.new("RGB", (2 * SIZE, 2 * SIZE)).save(tmp_path / "large.png")
    assert read_pictures([tmp_path / "large.png"], model.frame).sizes.tolist() == [[SIZE, SIZE]]
    with pytest.raises(BadImage, match=r"tall.png: its 128x64 pixels .* another shape than .* drawn for 64x64"):
        read_pictures([tmp_path / "tall.png"], model.frame)


def test_features_outside_are_marked_and_the_others_normalised_alone(model: FastFlow) -> None:
    for f in model.extract(images(), model.inside(None)):
        inside = inside_of(f)[0, 0]
        step = SIZE // inside.shape[0]
        by_hand = drawn().reshape(len(inside), step, len(inside), step).any(axis=(1, 3))
        assert np.array_equal(inside.numpy(), by_hand), "a position counts that sees any of the region"
        for one in f:
            assert one[:, inside].mean().item() == pytest.approx(0, abs=1e-4)
            assert one[:, inside].var(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_the_nearest_position_inside_goes_on_outside() -> None:
    inside = torch.from_numpy(np.random.default_rng(1).random((9, 7)) > 0.8)
    places = torch.nonzero(inside).double()
    for number, (row, column) in enumerate((r, c) for r in range(9) for c in range(7)):
        chosen = int(nearest(inside)[number])
        assert inside.flatten()[chosen]
        here = torch.tensor([[row, column]], dtype=torch.float64)
        away = torch.cdist(here, torch.tensor([[chosen // 7, chosen % 7]], dtype=torch.float64)).item()
        assert away == pytest.approx(torch.cdist(here, places).min().item())


def test_the_image_score_is_of_the_regions_top_pixels(model: FastFlow) -> None:
    features = model.extract(images(), model.inside(None))
    judged = model.maps(model.position_scores(model.latents(features)), features).judged
    found = model.score(features).pred_score
    for one, score in zip(judged, found, strict=True):
        values = one[0][torch.from_numpy(drawn())].sort(descending=True).values
        count = max(1, round(model.rule.top_fraction * len(values)))
        assert score.item() == pytest.approx(values[:count].mean().item())


def test_a_checkpoint_keeps_its_region(tmp_path: Path, model: FastFlow) -> None:
    save_checkpoint(model, tmp_path / "with")
    again = load_checkpoint(tmp_path / "with")
    assert again.config == model.config
    assert again.frame.roi == roi_of(drawn())
    for one, two in zip(model(images()), again(images()), strict=True):
        assert bits(one) == bits(two)
    assert set(again.state_dict()) == set(FastFlow(tiny_config()).state_dict()), "it is in the config alone"


def test_a_checkpoint_without_a_region_is_as_before(tmp_path: Path) -> None:
    save_checkpoint(FastFlow(tiny_config()), tmp_path / "without")
    about = json.loads((tmp_path / "without/config.json").read_text())
    assert "roi" not in about["model"]
    assert load_checkpoint(tmp_path / "without").roi is None


def test_code_that_knows_no_region_refuses_the_checkpoint(
    tmp_path: Path, model: FastFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions read the config: with the fields that they had."""
    save_checkpoint(model, tmp_path / "with")
    fields = {name: one for name, one in FastFlowConfig.__dataclass_fields__.items() if name != "roi"}
    monkeypatch.setattr(FastFlowConfig, "__dataclass_fields__", fields)
    with pytest.raises(BadCheckpoint, match=r"unknown keys \['roi'\]"):
        load_checkpoint(tmp_path / "with")
