"""Shapes against a ruler: the largest distance between two changed pixels; and where they are drawn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from pipelines.qualification.defects import KINDS
from pipelines.qualification.placing import drawn, part_of, place, share_on
from pipelines.reporting.cutting import Box


def extent(mask: NDArray[np.bool_]) -> float:
    """The largest distance between the outer edges of pixels of a mask."""
    rows, columns = np.nonzero(mask)
    corners = np.concatenate([np.stack([rows + y, columns + x], 1) for y in (0, 1) for x in (0, 1)])
    return float(pdist(corners[ConvexHull(corners).vertices]).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2.5, 7.0, 30.0, 140.0])
def test_a_shape_is_as_large_as_it_says(kind: str, size: float) -> None:
    for seed in range(4):
        shape = KINDS[kind](size, np.random.default_rng(seed))
        changed = np.maximum(np.abs(shape.change), np.broadcast_to(shape.cover, shape.change.shape)) > 0
        assert size - 0.03 * size - 1 <= extent(changed) <= size + 2 * 2**0.5  # a pixel that is touched counts whole
        assert np.abs(shape.change).max() <= 1
        assert shape.change.shape[0] == shape.change.shape[1] == int(np.ceil(size)) + 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_contrast_is_the_largest_change(kind: str) -> None:
    shape = KINDS[kind](40.0, np.random.default_rng(1))
    plate = np.full((100, 120, 3), 120, np.uint8)
    for contrast in (0.1, 0.25, 0.4):
        seen = drawn(plate, shape, Box(10, 20, 52, 62), contrast=contrast, rng=np.random.default_rng(2))
        change = np.abs(seen.astype(int) - 120)
        assert change.max() == pytest.approx(255 * contrast, abs=2.5)
        outside = np.ones((100, 120), bool)
        outside[10:52, 20:62] = False
        assert not change[outside].any()
    assert (plate == 120).all()


def test_on_white_a_defect_is_dark() -> None:
    white = np.full((60, 60, 3), 250, np.uint8)
    for seed in range(8):
        shape = KINDS["spot"](20.0, np.random.default_rng(seed))
        seen = drawn(white, shape, Box(10, 10, 32, 32), contrast=0.5, rng=np.random.default_rng(seed))
        assert seen.min() < 130


def test_a_patch_has_no_texture_and_a_spot_lets_it_through() -> None:
    rng = np.random.default_rng(0)
    rough = rng.normal(120, 15, (80, 80, 3)).clip(0, 255).astype(np.uint8)
    for kind, smooth in (("patch", True), ("spot", False)):
        shape = KINDS[kind](40.0, np.random.default_rng(3))
        seen = drawn(rough, shape, Box(10, 10, 52, 52), contrast=0.1, rng=rng)[10:52, 10:52]
        assert bool(seen[shape.change > 0.999].std() < 3) is smooth


def disc(size: int = 200) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A rough dark disc on a light table, and where it is."""
    rows, columns = np.indices((size, size))
    inside = np.hypot(rows - size / 2, columns - size * 0.45) < size * 0.3
    rng = np.random.default_rng(0)
    pixels = np.where(inside[..., None], rng.normal(90, 20, (size, size, 3)), rng.normal(230, 2, (size, size, 3)))
    return pixels.clip(0, 255).astype(np.uint8), inside


def test_the_part_is_told_from_a_table() -> None:
    pixels, inside = disc()
    part = part_of(pixels)
    scaled = inside[np.ix_(*(np.linspace(0, 199, n).round().astype(int) for n in part.shape))]
    assert (part & scaled).sum() / (part | scaled).sum() > 0.93


@pytest.mark.parametrize("levels", [3.0, 25.0])
def test_a_part_that_fills_the_picture_is_all_of_it(levels: float) -> None:
    pixels = np.random.default_rng(0).normal(120, levels, (90, 160, 3)).clip(0, 255).astype(np.uint8)
    assert part_of(pixels).all()


def test_defects_lie_on_the_part_and_within_the_picture() -> None:
    pixels, _ = disc()
    part, rng = part_of(pixels), np.random.default_rng(4)
    scale = 200 / part.shape[0], 200 / part.shape[1]
    shares = []
    for kind in KINDS:
        for size in (4.0, 30.0):
            shape = KINDS[kind](size, rng)
            box = place(shape, part, (200, 200), rng)
            assert 0 <= box.top < box.bottom <= 200
            assert 0 <= box.left < box.right <= 200
            shares.append(share_on(part, box, shape.change != 0, scale))
    assert min(shares) >= 0.9
