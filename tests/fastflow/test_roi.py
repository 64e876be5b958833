"""A region of interest: what lies outside trains, calibrates, scores and evaluates nothing, whatever it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fastflow.api import fit
from fastflow.augment import augmented_features
from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.config import FastFlowConfig
from fastflow.crossfit import score_normal
from fastflow.data import read_pictures
from fastflow.errors import BadImage
from fastflow.evaluation import judge_regions, measure, pixels, score_images
from fastflow.features import extract_features
from fastflow.index import list_category
from fastflow.maps import picture_map
from fastflow.mirror import FLIPS, mirrored_features
from fastflow.model import FastFlow
from fastflow.padding import inside_of, nearest
from fastflow.regions import find_regions
from fastflow.roi import COVER, ROI, Roi, covered, hidden_outside, roi_mask, roi_of
from fastflow.sealed import BadCheckpoint
from fastflow.trained import TrainedDetector
from tests.conftest import SIZE, THRESHOLD, detector_of, shake, tiny_config, write_plates

CPU = torch.device("cpu")


def drawn(size: int = SIZE) -> NDArray[np.bool_]:
    """A block off the middle with a hole, and a line of one pixel."""
    mask = np.zeros((size, size), bool)
    unit = size / SIZE
    mask[round(13 * unit) : round(45 * unit), round(21 * unit) : round(58 * unit)] = True
    mask[round(25 * unit) : round(32 * unit), round(30 * unit) : round(37 * unit)] = False
    mask[round(60 * unit), 2 : round(15 * unit)] = True
    return mask


def model_with(mask: NDArray[np.bool_], **changes: object) -> FastFlow:
    made = FastFlow(tiny_config(roi=roi_of(mask), **changes)).eval()
    shake(made.flows, scale=0.05)
    return made


@pytest.fixture
def model() -> FastFlow:
    return model_with(drawn(), letterbox=True)


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def bits(values: Tensor) -> bytes:
    return bytes(values.numpy().tobytes())


def scribbled(folder: Path, mask: NDArray[np.bool_], *, seed: int) -> None:
    """Draws noise over every picture of a category, outside of the region alone."""
    rng = np.random.default_rng(seed)
    for path in sorted((folder / place for place in ("train", "test")), key=str):
        for file in sorted(path.rglob("*.png")):
            pixels = np.asarray(Image.open(file).convert("RGB"))
            noise = rng.integers(0, 256, pixels.shape, dtype=np.uint8)
            Image.fromarray(np.where(mask[..., None], pixels, noise)).save(file)


@pytest.mark.parametrize("mask", [drawn(), ~drawn(), np.ones((9, 7), bool), np.eye(11, dtype=bool)])
def test_runs_are_the_mask(mask: NDArray[np.bool_]) -> None:
    roi = roi_of(mask)
    assert np.array_equal(roi_mask(roi), mask)
    lengths = list(map(int, roi.runs.split()))
    assert sum(lengths) == mask.size
    assert sum(lengths[1::2]) == mask.sum()
    assert ROI.holds(roi)
    assert ROI.holds(json.loads(json.dumps(roi._asdict())))


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
    found, inside = covered(picture, roi_of(drawn())), roi_mask(roi_of(drawn()), (128, 128))
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
    assert load_checkpoint(tmp_path / "without").region is None


def test_code_that_knows_no_region_refuses_the_checkpoint(
    tmp_path: Path, model: FastFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions read the config: with the fields that they had."""
    save_checkpoint(model, tmp_path / "with")
    fields = {name: one for name, one in FastFlowConfig.__dataclass_fields__.items() if name != "roi"}
    monkeypatch.setattr(FastFlowConfig, "__dataclass_fields__", fields)
    with pytest.raises(BadCheckpoint, match=r"unknown keys \['roi'\]"):
        load_checkpoint(tmp_path / "with")
