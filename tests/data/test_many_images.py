"""What a large folder costs: copies of test images are found as by comparing each pair, and memory does not grow with
the images that were decoded."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmarks.photographs import draw_category
from benchmarks.validate import MAIN, cost
from pipelines.data.checks import compare
from pipelines.data.checks.compare import compare_findings
from pipelines.data.checks.pictures import ImageFacts
from tests.conftest import ROOT


def facts(thumbnails: NDArray[np.uint8]) -> list[ImageFacts]:
    return [ImageFacts("", "RGB", (64, 64), one, []) for one in thumbnails]


def index_of(train: int, test: int, same: dict[int, int]) -> pd.DataFrame:
    """Rows of training, then of test images, each of its own content but for the `same`."""
    number = np.arange(train + test)
    return pd.DataFrame(
        {
            "image_path": [f"{'train' if i < train else 'test'}/good/{i}.png" for i in number],
            "split": ["train"] * train + ["test"] * test,
            "defect_type": "good",
            "sha256": [str(same.get(int(i), int(i))) for i in number],
        }
    )


def parts_in_view(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Thumbnails (count, 1024) of one part in changing light and place, with noise."""
    row, column = np.mgrid[:32, :32]
    place = rng.normal(16, 2, (count, 2, 1, 1))
    disc = 90 * np.exp(-((row - place[:, 0]) ** 2 + (column - place[:, 1]) ** 2) / 60)
    noise = rng.normal(0, 1, (count, 32, 32))
    levels: NDArray[np.float64] = 100 + rng.normal(0, 8, (count, 1, 1)) + disc + noise
    return levels.clip(0, 255).reshape(count, -1).astype(np.uint8)


@pytest.mark.parametrize("block", [compare.VALUES_PER_BLOCK, 3000])
def test_near_copies_are_those_that_comparing_each_pair_finds(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(compare, "VALUES_PER_BLOCK", block)
    rng = np.random.default_rng(0)
    train, test = parts_in_view(rng, 400), parts_in_view(rng, 120)
    for number in range(60):  # from the same shot, saved again, to clearly another one
        shift = rng.integers(-1, 2, 1024) * (rng.random(1024) < number / 60) * (1 + number % 3)
        test[number] = (train[5 * number].astype(int) + shift).clip(0, 255)
    index = index_of(400, 120, same={0: 400, 5: 401})
    limit = 1.0
    expected = set()
    for j, other in enumerate(test, 400):
        far = np.sqrt(((train.astype(np.float32) - other) ** 2).mean(1))
        expected |= {f"train/good/{i}.png" for i in np.flatnonzero(far < limit) if index["sha256"][i] != str(j)}
    assert 10 < len(expected) < 60
    found = [f for f in compare_findings(index, facts(np.concatenate([train, test]))) if f.kind == "near_identical"]
    assert {f.image for f in found} == expected
    assert len(found) == len(expected), "one finding an image"


def test_one_finding_tells_how_many_test_images_look_alike() -> None:
    rng = np.random.default_rng(1)
    train, test = parts_in_view(rng, 40), parts_in_view(rng, 10)
    test[3], test[7] = train[5], train[5]
    test[3, :8] ^= 1
    index = index_of(40, 10, same={})
    (found,) = (f for f in compare_findings(index, facts(np.concatenate([train, test]))) if f.kind == "near_identical")
    assert found.message == "looks like test/good/47.png and 1 more"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """1,000 images are 750 MB once decoded; `init` and `validate` keep some kB of each."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    peaks = {}
    for count in (200, 1000):
        name = f"part{count}"
        drawn = draw_category(tmp_path / name, size=500, good={"train": count}, defective=0, suffix=".jpg")
        init = cost(tmp_path, MAIN, "init", str(drawn / "train/good"), "--name", name, "--yes")
        peaks[count] = max(init.mb, cost(tmp_path, MAIN, "validate", name).mb)
    assert peaks[1000] - peaks[200] < 60, peaks
