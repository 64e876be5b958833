"""Tiles: a picture is covered by them, and what they say of it is blended without a seam."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fastflow import tiling as tiling_module
from fastflow.config import FastFlowConfig
from fastflow.detector import Images, Sizes
from fastflow.tiles import as_tiles, axis_of, count_of, cut, places, starts_of
from fastflow.tiling import TileMaps, Tiling
from tests.conftest import SIZE, tiny_config

OVERLAPS = (0.0, 0.1, 0.25, 0.5, 0.9)
SIDES = ((64, 64), (65, 64), (127, 32), (4096, 512), (500, 256), (9, 64), (33, 32))


def tiling(tile: tuple[int, int] = (32, 48), overlap: float = 0.25, **changes: float) -> Tiling:
    return Tiling(tile, overlap, **{"top_fraction": 0.02, "threshold": 0.5} | changes)


def pictures(*sizes: tuple[int, int]) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, *size), dtype=np.uint8) for size in sizes]


def own_pixels(images: Images, sizes: Sizes) -> TileMaps:
    """A model whose map is the picture: its red, and its green is judged."""
    return TileMaps(images[:, :1].astype(np.float32), images[:, 1:2].astype(np.float32))


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("side", "tile"), SIDES)
def test_tiles_reach_from_edge_to_edge_and_overlap_as_asked_by_no_more_tiles_than_needed(
    side: int, tile: int, overlap: float
) -> None:
    starts = starts_of(side, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, side - tile)
    gaps = np.diff(starts)
    farthest = max(1, int(tile * (1 - overlap)))  # whole pixels
    assert (gaps > 0).all()
    assert (gaps <= farthest).all()
    assert (len(starts) - 2) * farthest < max(1, side - tile)  # one tile fewer would leave a gap


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize(("side", "tile"), SIDES)
def test_weights_are_positive_and_add_up_to_one_at_each_pixel(side: int, tile: int, overlap: float) -> None:
    starts, weights = axis_of(side, tile, overlap)
    total = np.zeros(side)
    for start, own in zip(starts, weights, strict=True):
        assert (own > 0).all()
        total[start : start + len(own)] += own
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_a_map_that_tiles_agree_on_comes_back_as_it_is(overlap: float) -> None:
    for picture in pictures((80, 131), (32, 48), (33, 49), (64, 96)):
        found = tiling(overlap=overlap).over(own_pixels)(picture[None])
        np.testing.assert_allclose(found.anomaly_map[0, 0], picture[0], rtol=1e-5, atol=1e-3)
        one = tiling(overlap=overlap).over(lambda images, sizes: TileMaps(*np.full((2, len(images), 1, 32, 48), 0.7)))
        np.testing.assert_allclose(one(picture[None]).anomaly_map, 0.7, rtol=1e-5)


def test_where_tiles_differ_no_seam_shows() -> None:
    """Each tile says another constant: the map goes from one to the next by no more than the ramp does in a pixel."""
    tile, overlap = (64, 64), 0.25
    count = 0

    def numbered(images: Images, sizes: Sizes) -> TileMaps:
        nonlocal count
        levels = (np.arange(count, count + len(images)) % 2).astype(np.float32)
        count += len(images)
        both = np.broadcast_to(levels[:, None, None, None], (len(images), 1, *tile))
        return TileMaps(both, both)

    found = tiling(tile, overlap).over(numbered)(np.zeros((1, 3, 64, 300), np.uint8)).anomaly_map[0, 0]
    starts = starts_of(300, 64, overlap)
    shared = min(64 - gap for gap in np.diff(starts))
    steepest = 2 * np.pi / 2 / (overlap * 64)  # of the ramp's square of a sine, in one of two tiles that share a pixel
    assert shared >= overlap * 64
    assert np.abs(np.diff(found, axis=1)).max() <= steepest
    assert found[0, 0] == 0  # in the middle of the first tile, it alone speaks
    assert found.max() == pytest.approx(1)


def test_a_picture_smaller_than_a_tile_is_padded_and_its_size_told() -> None:
    told: list[list[int]] = []

    def run(images: Images, sizes: Sizes) -> TileMaps:
        assert images.shape == (1, 3, 32, 48)
        assert (images[:, :, 16:] == 0).all()
        told.extend(sizes.tolist())
        maps = own_pixels(images, sizes).anomaly_map
        maps[:, :, 16:] = np.nan
        return TileMaps(maps, maps)

    (picture,) = pictures((64, 96))
    found = tiling().over(run)(picture[None], np.array([[16, 40]]))
    assert told == [[16, 40]]
    np.testing.assert_allclose(found.anomaly_map[0, 0, :16, :40], picture[0, :16, :40], rtol=1e-5)
    assert np.isnan(found.anomaly_map[0, 0, 16:]).all()
    assert np.isnan(found.anomaly_map[0, 0, :, 40:]).all()


def test_the_score_is_the_mean_of_the_highest_judged_pixels_as_many_as_a_share_of_a_tile() -> None:
    (picture,) = pictures((80, 131))
    for fraction, count in ((0.02, 31), (0.0, 1), (1.0, 32 * 48)):
        found = tiling(top_fraction=fraction, threshold=128).over(own_pixels)(picture[None])
        highest = np.sort(picture[1].ravel())[-count:].mean()
        assert found.pred_score[0] == pytest.approx(highest, rel=1e-5)
        assert found.pred_label[0] == int(highest > 128)


def test_a_score_that_is_no_number_is_not_called_good() -> None:
    (picture,) = pictures((32, 48))
    found = tiling().over(lambda images, sizes: TileMaps(*np.full((2, len(images), 1, 32, 48), np.nan)))(picture[None])
    assert np.isnan(found.pred_score[0])
    assert found.pred_label[0] == 1


def test_tiles_come_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling_module, "TILE_PIXELS_AT_ONCE", 5 * 32 * 48)
    counts: list[int] = []

    def run(images: Images, sizes: Sizes) -> TileMaps:
        counts.append(len(images))
        return own_pixels(images, sizes)

    (picture,) = pictures((80, 131))
    found = tiling().over(run)(picture[None])
    assert sum(counts) == count_of((80, 131), (32, 48), 0.25) == 12
    assert max(counts) == 5
    np.testing.assert_allclose(found.anomaly_map[0, 0], picture[0], rtol=1e-5, atol=1e-3)


def test_pictures_of_one_batch_are_scored_each_by_itself() -> None:
    one, other = pictures((64, 96), (64, 96))
    both = tiling().over(own_pixels)(np.stack([one, other]), np.array([[64, 96], [40, 50]]))
    alone = tiling().over(own_pixels)(other[None], np.array([[40, 50]]))
    assert both.pred_score[1] == alone.pred_score[0]
    np.testing.assert_array_equal(both.anomaly_map[1], alone.anomaly_map[0])


def test_tiles_are_cut_where_their_corners_are() -> None:
    (picture,) = pictures((40, 60))
    made = cut(picture, [(3, 5), (20, 30)], (32, 48))
    np.testing.assert_array_equal(made[0], picture[:, 3:35, 5:53])
    np.testing.assert_array_equal(made[1, :, :20, :30], picture[:, 20:, 30:])
    assert not made[1, :, 20:].any()
    assert [(one.row, one.column) for one in places((40, 60), (32, 48), 0.25)] == [(0, 0), (0, 12), (8, 0), (8, 12)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"picture": [100, 100], "overlap": 1},
        {"picture": [100, 100], "overlap": -0.1},
        {"picture": [100, 100], "overlap": float("nan")},
        {"picture": [100, 100], "overlap": "0.25"},
        {"picture": [100.0, 100], "overlap": 0.25},
        {"picture": [100, 9000], "overlap": 0.25},
        {"picture": [100], "overlap": 0.25},
        {"picture": [100, 100]},
        {"picture": [100, 100], "overlap": 0.25, "more": 1},
        256,
    ],
)
def test_what_are_no_tiles_is_refused_by_the_models_config(wrong: object) -> None:
    with pytest.raises(ValueError, match="model: tiles is"):
        tiny_config(tiles=wrong)
    with pytest.raises(ValueError, match="no tiles; allowed: a mapping of a picture"):
        as_tiles(wrong)


def test_a_tile_must_fit_into_the_picture_and_tiles_be_countable() -> None:
    with pytest.raises(ValueError, match=r"64x64 pixels .* is larger than the picture, 63x200"):
        tiny_config(tiles={"picture": [63, 200], "overlap": 0.25})
    with pytest.raises(ValueError, match=r"has 48,400 tiles of 64x64 that overlap by 0\.95; at most 10,000"):
        tiny_config(tiles={"picture": [721, 721], "overlap": 0.95})
    tiny_config(tiles={"picture": [SIZE, SIZE], "overlap": 0.95})


def test_a_config_with_tiles_is_json_and_one_without_has_no_such_key() -> None:
    config = tiny_config(tiles={"picture": [100, 200], "overlap": 0.25})
    assert config.to_dict()["tiles"] == {"picture": (100, 200), "overlap": 0.25}
    assert FastFlowConfig.from_dict(config.to_dict()) == config
    assert "tiles" not in tiny_config().to_dict()
