"""Pixels that a mask hides count nowhere: as if the image had been cut there."""

from pathlib import Path

import numpy as np
from PIL import Image

from fastflow.decode import read_mask
from fastflow.metrics.aupimo import aupimo
from fastflow.metrics.bootstrap import pixel_intervals
from fastflow.metrics.pixel import pixel_metrics, pro_curve

RNG = np.random.default_rng(0)
MASKS = [np.zeros((24, 40), bool) for _ in range(6)]
for _mask in MASKS[:3]:
    _mask[4:9, 3:30] = True
    _mask[15:20, 10:12] = True
MAPS = [RNG.normal(size=(24, 40)).astype(np.float32) + mask for mask in MASKS]
CUT = 25  # columns that stay
HIDDEN = np.arange(40) >= CUT
HIDING = [np.ma.array(mask, mask=np.broadcast_to(HIDDEN, mask.shape)) for mask in MASKS]


def test_metrics_are_those_of_what_is_left() -> None:
    left = [m[:, :CUT] for m in MAPS], [m[:, :CUT] for m in MASKS]
    assert pixel_metrics(MAPS, HIDING) == pixel_metrics(*left)
    assert pixel_metrics(MAPS, HIDING) != pixel_metrics(MAPS, MASKS)
    assert aupimo(MAPS, HIDING) == aupimo(*left)
    assert pro_curve(MAPS, HIDING).equals(pro_curve(*left))
    labels = [1, 1, 1, 0, 0, 0]
    for name, (low, high) in pixel_intervals(MAPS, HIDING, labels).items():
        assert np.allclose((low, high), pixel_intervals(*left, labels)[name], atol=0.02)  # bins from other samples


def test_images_that_are_hidden_are_no_samples_of_pixels() -> None:
    """Defective ones of which no pixel is known; of few images, a draw would soon have no other."""
    nothing = np.ma.array(MASKS[0], mask=True)
    labels = [1, 1, 1, 0, 0, 0]
    expected = pixel_intervals(MAPS, MASKS, labels)
    found = pixel_intervals([*MAPS, *[MAPS[0]] * 9], [*MASKS, *[nothing] * 9], labels + [1] * 9)
    assert found == expected
    assert np.isfinite(list(found.values())).all()
    hidden = np.ma.array(MASKS[0], mask=MASKS[0])  # its background is known
    found = pixel_intervals([*MAPS, *[MAPS[0]] * 9], [*MASKS, *[hidden] * 9], labels + [1] * 9)
    assert found == pixel_intervals([*MAPS, *[MAPS[0]] * 9], [*MASKS, *[hidden] * 9], labels + [0] * 9)
    assert np.isfinite(list(found.values())).all()
    assert pixel_intervals([*MAPS[:1], *MAPS[3:]], [nothing, *MASKS[3:]], [1, 0, 0, 0]) == {}


def test_normal_images_of_unlike_rests_count_alike() -> None:
    hiding = [np.ma.array(mask, mask=np.zeros_like(mask)) for mask in MASKS]
    hiding[4] = HIDING[4]
    maps, masks = [*MAPS[:4], MAPS[4][:, :CUT], MAPS[5]], [*MASKS[:4], MASKS[4][:, :CUT], MASKS[5]]
    assert aupimo(MAPS, hiding) == aupimo(maps, masks)
    nothing = np.ma.array(MASKS[5], mask=True)
    assert aupimo([*MAPS, MAPS[5]], [*hiding, nothing]) == aupimo([*maps, MAPS[5][:0]], [*masks, MASKS[5][:0]])


def test_a_mask_of_0_128_and_255_leaves_128_out(tmp_path: Path) -> None:
    levels = np.zeros((8, 8), np.uint8)
    levels[:4], levels[4:6] = 255, 128
    Image.fromarray(levels).save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png")
    assert np.array_equal(np.ma.getmaskarray(read), levels == 128)
    assert np.array_equal(np.asarray(read), levels == 255)
    small = read_mask(tmp_path / "mask.png", image_size=(4, 4))
    assert np.array_equal(np.ma.getmaskarray(small), levels[::2, ::2] == 128)
    levels[7, 7] = 64  # then they are greys
    Image.fromarray(levels).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png"), levels > 0)
