"""A model that looks at tiles: what it is trained on, how it scores pictures, and that it comes back from disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fastflow import tiled as tiled_module
from fastflow.api import fit as fit_folder
from fastflow.api import predict
from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.crossfit import NormalScores, TiledImages
from fastflow.data import read_pictures
from fastflow.fit import FINAL, Hooks, fit
from fastflow.model import FastFlow
from fastflow.roi import roi_of
from fastflow.sizes import config_for
from fastflow.tiled import PictureScores, drawn_tiles, extract_tiles, num_samples, training_samples
from fastflow.tiles import TileSettings, axis_of, starts_of
from fastflow.train import Training
from tests.conftest import SIZE, detector_of, draw_square, shake, tiny_config

PICTURE = (100, 150)
TILES = {"picture": PICTURE, "overlap": 0.25}
TINY = {name: value for name, value in tiny_config().to_dict().items() if name not in ("score", "image_size")}


@pytest.fixture
def model() -> FastFlow:
    return model_with(letterbox=True)


def model_with(**changes: object) -> FastFlow:
    made = FastFlow(tiny_config(**{"tiles": TILES, **changes})).eval()
    shake(made.flows, scale=0.05)
    made.normal_center += 1.0
    return made


def photographs(folder: Path, count: int, size: tuple[int, int] = PICTURE) -> list[Path]:
    """Noisy plates (PNG) that differ."""
    made = []
    for number in range(count):
        pixels, _ = draw_square(seed=number, defect=False, size=max(size))
        made.append(folder / f"{number:03}.png")
        Image.fromarray(pixels[: size[0], : size[1]]).save(made[-1])
    return made


def test_a_picture_of_one_tile_is_scored_as_without_tiles() -> None:
    plain = model_with(tiles=None, letterbox=True)
    one = model_with(tiles={"picture": [SIZE, SIZE], "overlap": 0.5}, letterbox=True)
    one.load_state_dict(plain.state_dict())
    images = np.random.default_rng(0).integers(0, 256, (3, 3, SIZE, SIZE), dtype=np.uint8)
    sizes = np.array([[SIZE, SIZE], [SIZE, 32], [24, SIZE]])
    expected, found = (detector_of(each).predict(images, sizes) for each in (plain, one))
    np.testing.assert_allclose(found.pred_score, expected.pred_score, rtol=1e-5)
    np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, rtol=1e-5, atol=1e-7)  # NaN where that is
    np.testing.assert_array_equal(found.pred_label, expected.pred_label)


def test_the_map_is_the_weighted_mean_of_the_tiles_maps(model: FastFlow) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *PICTURE), dtype=np.uint8)
    found = detector_of(model).predict(image).anomaly_map[0, 0]
    expected = np.zeros(PICTURE)
    (rows, down), (columns, across) = (axis_of(side, SIZE, 0.25) for side in PICTURE)
    assert (rows, columns) == ([0, 36], [0, 43, 86])
    for row, of_rows in zip(rows, down, strict=True):
        for column, of_columns in zip(columns, across, strict=True):
            part = np.s_[row : row + SIZE, column : column + SIZE]
            own = model(torch.from_numpy(image[:, :, *part].copy())).anomaly_map[0, 0].numpy()
            expected[part] += own * np.outer(of_rows, of_columns)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_over_a_constant_picture_tile_borders_show_no_step_beyond_that_of_the_interior() -> None:
    """A tile's own edge shows in its map, whatever is there; of the picture, only at its edges."""
    model = model_with(tiles={"picture": [64, 400], "overlap": 0.5})
    image = np.full((1, 3, 64, 400), 110, np.uint8)
    found = detector_of(model).predict(image).anomaly_map[0, 0]
    steps = np.abs(np.diff(found, axis=1)).max(axis=0)
    borders = [place for start in starts_of(400, 64, 0.5)[1:-1] for place in (start - 1, start + 63)]
    inner = steps[64:-64]
    assert steps[borders].max() <= np.quantile(inner, 0.9)


def test_few_tiles_are_all_drawn_and_their_features_are_those_of_their_pixels(model: FastFlow, tmp_path: Path) -> None:
    paths = photographs(tmp_path, 3)
    drawn = drawn_tiles(paths, model.frame, model.config, seed=0)
    corners = [(row, column) for row in (0, 36) for column in (0, 43, 86)]
    assert drawn.picture.tolist() == [number for number in range(3) for _ in corners]
    assert drawn.corners == corners * 3
    features = extract_tiles(model, paths, drawn)
    for row, (number, (top, left)) in enumerate(zip(drawn.picture.tolist(), drawn.corners, strict=True)):
        pixels = np.asarray(Image.open(paths[number]))[top : top + SIZE, left : left + SIZE]
        alone = model.extract(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
        for of_all, own in zip(features, alone, strict=True):
            torch.testing.assert_close(of_all[row], own[0], rtol=1e-4, atol=1e-4)


def test_of_many_tiles_a_bounded_number_is_drawn_evenly_from_pictures_and_places(
    model: FastFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = photographs(tmp_path, 9)
    monkeypatch.setattr(tiled_module, "DRAWN_PIXELS", 18 * SIZE * SIZE + 1)
    drawn = drawn_tiles(paths, model.frame, model.config, seed=0)
    assert torch.bincount(drawn.picture).tolist() == [2] * 9
    assert sorted(map(drawn.corners.count, set(drawn.corners))) == [3] * 6
    assert num_samples(model, paths, seed=0) == 18
    again = drawn_tiles(paths, model.frame, model.config, seed=0)
    other = drawn_tiles(paths, model.frame, model.config, seed=1)
    assert again.corners == drawn.corners != other.corners
    monkeypatch.setattr(tiled_module, "DRAWN_PIXELS", 1)
    assert num_samples(model, paths, seed=0) == 9  # one each, at least


def test_a_picture_of_another_shape_is_drawn_from_where_it_is(model: FastFlow, tmp_path: Path) -> None:
    (path,) = photographs(tmp_path, 1, (300, 60))
    assert model.frame.place((300, 60)) == (100, 20)
    drawn = drawn_tiles([path], model.frame, model.config, seed=0)
    assert drawn.corners == [(0, 0), (36, 0)]
    features = extract_tiles(model, [path], drawn)
    assert [int((f[:, 0] != -torch.inf).any(dim=1).sum(dim=1)[0]) for f in features] == [5, 3]  # columns of 20 pixels


def test_no_fold_trains_on_a_tile_of_a_picture_that_it_scores(model: FastFlow, tmp_path: Path) -> None:
    paths = photographs(tmp_path, 5)
    samples = training_samples(model, paths, seed=0, batch_size=4)
    assert samples.tiled is not None
    trained: dict[int, set[int]] = {}

    def on_start(fold: int, training: Training) -> None:
        assert samples.tiled is not None
        trained[fold] = set(samples.tiled.image[training.rows].tolist())

    settings: dict[str, Any] = {"epochs": 1, "batch_size": 4, "learning_rate": 0.004, "weight_decay": 0.0}
    contents = ["a", "b", "a", "c", "d"]  # the first is there twice
    fitted = fit(
        model, samples.features, tiled=samples.tiled, contents=contents, folds=2, seed=0, inference_batch=4,
        hooks=Hooks(on_start=on_start), **settings,
    )  # fmt: skip
    assert trained[FINAL] == set(range(5))
    assert fitted.normal.pred_score.shape == (5,)
    assert fitted.normal.fold[0] == fitted.normal.fold[2]
    for fold in range(2):
        held_out = set(torch.nonzero(fitted.normal.fold == fold)[:, 0].tolist())
        assert trained[fold + 1] == set(range(5)) - held_out


def test_scores_for_the_threshold_are_those_of_whole_pictures(model: FastFlow, tmp_path: Path) -> None:
    paths = photographs(tmp_path, 3)
    found = PictureScores(paths)(model, rows=torch.tensor([2, 0]))
    pictures = read_pictures(paths, model.frame)
    expected = detector_of(model).predict(pictures.images.numpy(), pictures.sizes.numpy())
    np.testing.assert_allclose(found.pred_score, expected.pred_score[[2, 0]], rtol=1e-6)
    np.testing.assert_allclose(found.pixels[0], expected.anomaly_map[2, 0].ravel(), rtol=1e-6)

    samples = training_samples(model, paths, seed=0, batch_size=4)
    calls: list[list[int]] = []

    def counted(model: FastFlow, *, rows: Tensor) -> NormalScores:
        calls.append(rows.tolist())
        return PictureScores(paths)(model, rows=rows)

    assert samples.tiled is not None
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 4, "learning_rate": 0.004, "weight_decay": 0.0}
    own = TiledImages(samples.tiled.image, counted)
    alone = fit(model, samples.features, tiled=own, folds=None, seed=0, inference_batch=4, **settings)
    assert calls == [[0, 1, 2]]
    assert alone.normal.folds == 0


def test_the_frame_is_as_large_as_most_pictures_are_at_the_scale(tmp_path: Path) -> None:
    paths = photographs(tmp_path, 3, (200, 300))
    for number, size in enumerate(((90, 100), (100, 90))):
        (tmp_path / str(number)).mkdir()
        paths += photographs(tmp_path / str(number), 1, size)
    found = config_for(paths, "resnet18", tiles=TileSettings(64))
    assert found.tiles is not None
    assert (found.image_size, found.tiles.picture, found.tiles.overlap) == ((64, 64), (200, 300), 0.25)
    half = config_for(paths, "resnet18", tiles=TileSettings((32, 96), 0.5, 0.5))
    assert half.tiles is not None
    assert (half.image_size, half.tiles.picture, half.tiles.overlap) == ((32, 96), (100, 150), 0.5)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 64, "overlap": 1}, r"tiles\.overlap is 1; allowed: from 0 to below 1"),
        ({"size": 64, "scale": 0}, r"tiles\.scale is 0; allowed: above 0, at most 1"),
        ({"size": 64, "scale": 1.5}, r"tiles\.scale is 1\.5; allowed: above 0, at most 1"),
        ({"size": 100}, r"tiles\.size is 100; .* needs multiples of 16, such as 96"),
        ({"size": 0}, r"tiles\.size is 0; .* needs multiples of 16, such as 16"),
        ({"size": 208}, r"208x208 pixels .* is larger than the picture, 200x300"),
        ({"size": 208, "scale": 0.1}, r"208x208 pixels .* is larger than the picture, 20x30"),
    ],
)
def test_tiles_that_do_not_fit_end_in_one_sentence(tmp_path: Path, settings: dict[str, float], sentence: str) -> None:
    paths = photographs(tmp_path, 1, (200, 300))
    with pytest.raises(ValueError, match=sentence):
        config_for(paths, "resnet18", tiles=TileSettings(**settings))  # type: ignore[arg-type]


def test_a_size_or_an_area_of_pictures_does_not_go_with_tiles(tmp_path: Path) -> None:
    paths = photographs(tmp_path, 1)
    for other in ({"image_size": (64, 64)}, {"image_area": 4096}):
        with pytest.raises(ValueError, match="do not go with tiles"):
            config_for(paths, "resnet18", tiles=TileSettings(64), **other)
    with pytest.raises(ValueError, match=r"tiles is .* allowed: a fastflow\.tiles\.TileSettings"):
        config_for(paths, "resnet18", tiles={"size": 64})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tiles and a region of interest do not go together yet"):
        tiny_config(tiles=TILES, roi=roi_of(np.eye(9, dtype=bool)))


def test_it_is_the_same_from_disk(model: FastFlow, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "plates", category="plates")
    again = load_checkpoint(tmp_path / "plates")
    assert again.config == model.config
    assert again.frame == model.frame
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *PICTURE), dtype=np.uint8)
    before, after = (detector_of(one).predict(image) for one in (model, again))
    np.testing.assert_array_equal(before.anomaly_map, after.anomaly_map)


def test_a_small_defect_is_found_where_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    paths = photographs(folder, 6)
    settings = {name: value for name, value in TINY.items() if name not in ("mean", "std")}
    detector = fit_folder(folder, weights="random", epochs=2, tiles=TileSettings(SIZE), **settings)
    assert detector.threshold["num_normal"] == 6
    pixels = np.asarray(Image.open(paths[0])).copy()
    pixels[60:66, 100:106] = 255
    Image.fromarray(pixels).save(tmp_path / "bad.png")
    found = predict(detector, [paths[1], tmp_path / "bad.png"])
    assert found.table["pred_score"][1] > found.table["pred_score"][0]
    row, column = np.unravel_index(int(found.anomaly_maps[1].argmax()), PICTURE)
    assert 52 <= row <= 74
    assert 92 <= column <= 114
