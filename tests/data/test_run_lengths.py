"""COCO's run lengths, drawn: by COCO's own library, and of sizes that were never photographed."""

import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipelines.data.annotations.outline import Runs, outline
from tests.data.test_annotations import runs


@pytest.mark.parametrize("size", [(7, 11), (14, 33), (3, 5)])
def test_run_lengths_are_what_cocos_library_decodes(size: tuple[int, int]) -> None:
    """Also with runs of no length; of an image of another size, the nearest pixel's."""
    mask = np.random.default_rng(0).random((7, 11)) > 0.6
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = (*runs(mask)[:3], 0, 0, *runs(mask)[3:])
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, mask.shape, strict=True))
    expected = coco_mask.decode(packed)[rows][:, columns] == 1
    drawn = outline(11, 7, runs=Runs(7, 11, counts)).drawn(size[1], size[0])
    np.testing.assert_array_equal(drawn, expected)


def test_run_lengths_of_a_huge_size_take_no_room_in_a_small_image() -> None:
    """A hundred bytes of JSON may state a hundred million pixels."""
    huge = outline(10_000, 10_000, runs=Runs(10_000, 10_000, (50_000_000, 50_000_000)))
    tracemalloc.start()
    drawn = huge.drawn(8, 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn.tolist() == [[False] * 4 + [True] * 4] * 4
    assert peak < 1_000_000
