"""What lies outside of a region of interest trains, calibrates and evaluates nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fastflow.api import fit
from fastflow.augment import augmented_features
from fastflow.crossfit import score_normal
from fastflow.data import read_pictures
from fastflow.evaluation import judge_regions, measure, pixels, score_images
from fastflow.features import extract_features
from fastflow.index import list_category
from fastflow.maps import picture_map
from fastflow.mirror import FLIPS, mirrored_features
from fastflow.model import FastFlow
from fastflow.padding import inside_of
from fastflow.regions import find_regions
from fastflow.roi import Roi, hidden_outside, roi_of
from fastflow.trained import TrainedDetector
from tests.conftest import SIZE, THRESHOLD, detector_of, write_plates
from tests.fastflow.roi_kit import CPU, bits, drawn, images, model_with, scribbled


@pytest.fixture
def model() -> FastFlow:
    return model_with(drawn(), letterbox=True)


def test_normal_scores_are_of_pixels_inside_even_of_a_thin_region(tmp_path: Path) -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[5:7, 9:50] = True  # no fourth row
    model = model_with(mask)
    paths = sorted((write_plates(tmp_path / "plates") / "train/good").iterdir())
    normal = score_normal(model, extract_features(model, paths, batch_size=4, device=CPU), batch_size=3)
    assert normal.pixels.isfinite().all()
    assert normal.pixels.shape == (len(paths), -(-int(mask.sum()) // 16))


def test_two_trainings_on_images_that_differ_outside_give_the_same_bits(tmp_path: Path) -> None:
    """Folds, noise, mirror images, normal ranges and thresholds with them."""
    mask, made = drawn(), list[TrainedDetector]()
    for name in ("first", "second"):
        folder = write_plates(tmp_path / name)
        if made:
            scribbled(folder, mask, seed=7)
        config: dict[str, Any] = {"image_size": (SIZE, SIZE), "layers": (1, 2), "flow_steps": 2, "roi": roi_of(mask)}
        detector = fit(folder / "train/good", backbone="resnet18", weights="random", epochs=2, **config)
        made.append(detector)
        detector.save(tmp_path / f"{name}.model" / "plates")
    weights = [(tmp_path / f"{name}.model/plates/flow.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]
    assert made[0].threshold == made[1].threshold


def test_flipped_and_augmented_images_take_their_region_along(tmp_path: Path, model: FastFlow) -> None:
    paths = sorted((write_plates(tmp_path / "plates") / "train/good").iterdir())
    flips = mirrored_features(model, paths, batch_size=4)([0])[0]
    straight = inside_of(model.extract(images(), model.inside(None))[0])[0, 0]
    for dims, flipped in zip(FLIPS, flips, strict=True):
        assert torch.equal(inside_of(flipped)[0, 0], straight.flip([dim - 2 for dim in dims]))
    pictures = read_pictures(paths, model.frame)
    found = augmented_features(model, pictures, ["hflip"], batch_size=4)(torch.arange(8), torch.Generator())[0]
    seen = {bits(one[0]) for one in inside_of(found)}
    assert seen == {bits(straight), bits(straight.flip([1]))}


def test_metrics_are_those_of_the_pixels_inside(tmp_path: Path) -> None:
    """By hand: pixels and masks cut to a rectangle, which is the region."""
    mask = np.zeros((SIZE, SIZE), bool)
    mask[8:56, 4:36] = True
    folder, detector = write_plates(tmp_path / "plates"), detector_of(model_with(mask))
    index = list_category(folder).query("split == 'test'").reset_index(drop=True)
    scored = score_images(detector, [folder / path for path in index["image_path"]], batch_size=3)
    assert all((one[~mask] == np.float32(THRESHOLD["low"])).all() for one in scored.anomaly_maps)
    whole = scored._replace(roi=None)
    cut = whole._replace(anomaly_maps=[one[8:56, 4:36] for one in scored.anomaly_maps])
    _, masks = pixels(index, whole, folder)
    by_hand = tmp_path / "cut"
    for path, own in zip(index["mask_path"], masks, strict=True):
        if path:
            (by_hand / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(own[8:56, 4:36]).save(by_hand / path)
    for original_size in (False, True):
        found = measure(index, scored, folder, original_size=original_size)
        expected = measure(index, cut, by_hand)
        assert found["pixel_auroc"].value == expected["pixel_auroc"].value
        assert found["aupro"].value == pytest.approx(expected["aupro"].value)
    assert found["pixel_auroc"] != measure(index, whole, folder)["pixel_auroc"]


def test_true_and_reported_regions_outside_count_for_nothing(tmp_path: Path) -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, :20] = True
    folder = write_plates(tmp_path / "plates")
    detector = TrainedDetector(model=model_with(mask), threshold=THRESHOLD | {"pixel": 0.11})
    index = list_category(folder).query("defect_type == 'square'").reset_index(drop=True)
    scored = score_images(detector, [folder / path for path in index["image_path"]], batch_size=3)
    judged = judge_regions(index, scored, folder, threshold=0.11)
    cut = [np.asarray(Image.open(folder / path))[:, :20] for path in index["mask_path"]]
    assert judged.true["area"].tolist() == [int(one.sum()) for one in cut if one.any()]
    assert judged.false_in_defective <= len(index)
    for one in scored.anomaly_maps:
        assert all(region.x + region.width <= 20 for region in find_regions(one, (SIZE, SIZE), threshold=0.11))


def test_masks_keep_what_they_hide_already() -> None:
    mask = np.ma.array(np.ones((4, 4), bool), mask=False)
    mask[0, 0] = np.ma.masked
    found = hidden_outside(mask, Roi((4, 4), "0 8 8"))
    assert np.ma.getmaskarray(found).sum() == 9
    assert not np.asarray(found)[2:].any(), "who overlooks what is hidden sees no defect there, either"
    assert hidden_outside(mask, None) is mask


def test_a_map_outside_is_what_is_usual() -> None:
    in_frame = np.full((6, 6), np.nan, np.float32)
    in_frame[:2, :4] = 0.7
    found = picture_map(in_frame, (4, 4), Roi((4, 4), "0 8 8"), low=0.2)
    assert found.tolist() == [[np.float32(0.7)] * 4] * 2 + [[np.float32(0.2)] * 4] * 2
    assert np.shares_memory(picture_map(in_frame, (2, 4), None, low=0.2), in_frame)
