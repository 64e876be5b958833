"""Why a score is what it is: against the definition, computed here again without gradients, and by brute force."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from fastflow.api import explain, predict
from fastflow.data import read_pictures
from fastflow.explain import distances_to, explain_all
from fastflow.features import extract_features
from fastflow.model import FastFlow
from fastflow.padding import inside_of
from fastflow.score import SCORES, blur
from fastflow.score_parts import deciding_place, parts_of
from fastflow.train import calibrate
from tests.conftest import SIZE, detector_of, draw_square, shake, tiny_config

CPU = torch.device("cpu")


def write(folder: Path, *, count: int, size: tuple[int, int] = (SIZE, SIZE), first: int = 0) -> list[Path]:
    paths = []
    for number in range(count):
        pixels, _ = draw_square(seed=first + number, defect=False, size=max(size))
        paths.append(folder / f"{first + number}.png")
        Image.fromarray(pixels[: size[0], : size[1]]).save(paths[-1])
    return paths


def model_of(paths: list[Path], **changes: object) -> FastFlow:
    model = FastFlow(tiny_config(**changes))
    shake(model.flows, scale=0.02)
    calibrate(model, extract_features(model, paths, batch_size=4, device=CPU), batch_size=4)
    return model


@pytest.mark.parametrize("score", SCORES)
def test_shares_and_terms_by_definition(tmp_path: Path, score: str) -> None:
    """The image score taken apart without gradients: each scale's own map, averaged over the top pixels."""
    paths = write(tmp_path, count=3)
    model = model_of(paths, score=score)
    features = extract_features(model, paths, batch_size=4, device=CPU)
    parts = parts_of(model, features)
    assert torch.equal(parts.pred_score, model.score(features).pred_score)
    rule, areas = SCORES[score], [f.shape[2] * f.shape[3] for f in features]
    weights = [1 / area for area in areas] if rule.image_weights == "area" else [1.0] * len(areas)
    scaled = []
    for (z, log_det), center, spread in zip(
        model.latents(features), model.normal_center, model.normal_spread, strict=True
    ):
        raw = (z**2).mean(1) / 2 + math.log(2 * math.pi) / 2 - rule.log_det_weight * log_det / z.shape[1]
        by_rule = {"exp": -torch.exp(-(z**2).mean(1) / 2), "sigmoid": torch.sigmoid((raw - center) / spread)}
        one = by_rule.get(rule.compress, raw)[:, None]
        whole = functional.interpolate(one, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
        scaled.append(blur(whole, sigma=rule.smoothing * SIZE) if rule.smoothing else whole)
    maps = [one * weight / sum(weights) for one, weight in zip(scaled, weights, strict=True)]
    top = max(1, round(rule.top_fraction * SIZE * SIZE))
    for number in range(3):
        order = sum(one[number].flatten() for one in maps).argsort(descending=True)[:top]  # type: ignore[union-attr]
        shares = [float(one[number].flatten()[order].mean().detach()) for one in maps]
        assert parts.terms[number, :, 0].tolist() == pytest.approx(shares, rel=1e-4, abs=1e-6)
    assert parts.terms[..., 0].sum(dim=1).tolist() == pytest.approx(parts.pred_score.tolist(), abs=1e-6)


def test_terms_add_up_to_the_likelihood_at_the_place_that_decided(tmp_path: Path) -> None:
    """By `nll`, the score is that of the one pixel; with one scale at the image's size, of the one position."""
    paths = write(tmp_path, count=2)
    model = model_of(paths, score="nll", layers=(1,))
    features = extract_features(model, paths, batch_size=4, device=CPU)
    parts = parts_of(model, features)
    bits = parts.terms[:, 0, 1] + parts.terms[:, 0, 2]
    assert (bits * math.log(2)).tolist() == pytest.approx(parts.pred_score.tolist(), rel=1e-5)
    ((z, log_det),) = model.latents(features)
    lowest = -log_det.max() / z.shape[1] / math.log(2)
    highest = -log_det.min() / z.shape[1] / math.log(2)
    assert bool(((parts.terms[:, 0, 2] >= lowest - 1e-6) & (parts.terms[:, 0, 2] <= highest + 1e-6)).all())


def test_of_padded_pictures_shares_add_up_too(tmp_path: Path) -> None:
    paths = write(tmp_path, count=2, size=(32, 64))
    model = model_of(paths, letterbox=True)
    features = extract_features(model, paths, batch_size=4, device=CPU)
    assert not bool(inside_of(features[0]).all())
    parts = parts_of(model, features)
    assert torch.equal(parts.pred_score, model.score(features).pred_score)
    assert parts.terms[..., 0].sum(dim=1).tolist() == pytest.approx(parts.pred_score.tolist(), abs=1e-6)
    assert not bool(parts.weight[:, :, 36:].any())  # nothing decides in the padding
    assert bool(parts.terms.isfinite().all())


@pytest.mark.parametrize("size", [(64, 64), (128, 96)])
def test_a_planted_defect_is_located_with_the_figures_of_predict(tmp_path: Path, size: tuple[int, int]) -> None:
    paths = write(tmp_path, count=6, size=size)
    pixels = np.asarray(Image.open(paths[0])).copy()
    pixels[size[0] // 4 : size[0] // 4 + 14, size[1] // 2 : size[1] // 2 + 14] = 250
    Image.fromarray(pixels).save(tmp_path / "defect.png")
    detector = detector_of(model_of(paths))
    found = explain(detector, tmp_path / "defect.png", good=paths[1:], normal=paths[1:4])
    scored = predict(detector, tmp_path / "defect.png")
    assert found.pred_score == pytest.approx(scored.table["pred_score"][0], abs=1e-6)
    assert found.pred_label == scored.table["pred_label"][0]
    assert (found.shape, found.num_normal) == (size, 3)
    place = found.place
    assert size[1] // 2 - 4 <= place.peak_x < size[1] // 2 + 18
    assert size[0] // 4 - 4 <= place.peak_y < size[0] // 4 + 18
    assert place.x <= place.peak_x < place.x + place.width
    assert place.y <= place.peak_y < place.y + place.height
    assert all(scale.excess[0] > 0 for scale in found.scales)
    copy = Path(shutil.copy(paths[2], tmp_path / "copy.png"))
    one = explain(detector, paths[2], good=[paths[1]], normal=[copy]).scales[0]
    assert one.excess == pytest.approx((0, 0, 0), abs=1e-6)  # a picture beside its copy
    assert one.patch == pytest.approx((size[0] / 16, size[1] / 16))


def test_several_at_once_are_explained_as_each_alone_and_none_by_itself(tmp_path: Path) -> None:
    paths = write(tmp_path, count=5)
    detector = detector_of(model_of(paths))
    together = explain_all(detector, paths[1:4], good=paths, normal=paths[2:])
    for number, found in enumerate(together, start=1):
        others = [path for path in paths if path != paths[number]]
        alone = explain(detector, paths[number], good=others, normal=[path for path in others if path in paths[2:]])
        assert (found.nearest, found.num_normal, found.place) == (alone.nearest, alone.num_normal, alone.place)
        assert found.distance == pytest.approx(alone.distance, rel=1e-5)
        for one, other in zip(found.scales, alone.scales, strict=True):
            assert one.excess == pytest.approx(other.excess, abs=1e-5)
    with pytest.raises(ValueError, match="no good picture to compare with"):
        explain(detector, paths[0], good=[paths[0]])


def test_the_nearest_picture_is_the_one_of_brute_force(tmp_path: Path) -> None:
    paths = write(tmp_path, count=11)
    model = model_of(paths)
    features = extract_features(model, paths, batch_size=4, device=CPU)
    own = [f[10:] for f in features]
    found = distances_to(model, own, paths)[0]
    each = [
        math.sqrt(np.mean([np.mean((f[10].numpy() - f[other].numpy()) ** 2) for f in features])) for other in range(10)
    ]
    assert found[:10].tolist() == pytest.approx(each, rel=1e-5)
    assert float(found[10]) == pytest.approx(0, abs=1e-3)


def test_the_place_is_the_part_of_the_deciding_pixels_with_the_highest() -> None:
    judged = np.zeros((8, 16), np.float32)
    weight = np.zeros((8, 16), np.float32)
    judged[1:3, 2:5], judged[6, 9] = 0.5, 0.9
    weight[1:3, 2:5], weight[6, 9:11] = 0.1, 0.1
    place = deciding_place(judged, weight, (80, 80))
    assert place == (45, 60, 10, 10, 47, 65, 0.25)


def test_no_good_picture_is_an_error(tmp_path: Path) -> None:
    paths = write(tmp_path, count=2)
    with pytest.raises(ValueError, match="an empty list of images; name at least one"):
        explain(detector_of(FastFlow(tiny_config())), paths[0], good=[])
    with pytest.raises(ValueError, match="no good picture to compare with"):
        explain_all(detector_of(FastFlow(tiny_config())), paths[:1], good=[])


def test_pictures_are_read_once_more_as_predict_reads_them(tmp_path: Path) -> None:
    path, other = write(tmp_path, count=2, size=(40, 64))
    model = model_of(write(tmp_path, count=3, first=5))
    pictures = read_pictures([path], model.frame)
    found = explain(detector_of(model), path, good=[other])
    assert found.anomaly_map.shape == tuple(pictures.sizes[0].tolist())
