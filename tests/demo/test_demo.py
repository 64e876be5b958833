"""The demo categories: layout, determinism, and masks that say exactly where the defect is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.demo import generate
from pipelines.demo.generate import CATEGORIES, PARTS, draw_defect, draw_good, write_category

SIZE = 64


def _write(category: str, root: Path, *, seed: int = 3, num_train: int = 2) -> dict[str, bytes]:
    """Write a small category; its files by path relative to the category."""
    write_category(category, root, seed=seed, image_size=SIZE, num_train=num_train, num_good=1, num_per_defect=1)
    folder = root / category
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module", params=CATEGORIES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp("demo")
    _write(request.param, root)
    return request.param, root


def test_layout_is_that_of_mvtec_ad(written: tuple[str, Path]) -> None:
    category, root = written
    expected = {"train/good/000.png", "train/good/001.png", "test/good/000.png"}
    for name in PARTS[category][1]:
        expected |= {f"test/{name}/000.png", f"ground_truth/{name}/000_mask.png"}
    assert {p.relative_to(root / category).as_posix() for p in root.rglob("*.png")} == expected
    assert [p.name for p in root.iterdir()] == [category]  # no temporary folder is left


def test_images_are_rgb_and_masks_binary_and_not_empty(written: tuple[str, Path]) -> None:
    category, root = written
    for path in (root / category).rglob("*.png"):
        with Image.open(path) as image:
            is_mask = "ground_truth" in path.parts
            assert (image.mode, image.size) == ("L" if is_mask else "RGB", (SIZE, SIZE))
            if is_mask:
                values = np.unique(np.asarray(image)).tolist()
                assert values == [0, 255]


@pytest.mark.parametrize("category", CATEGORIES)
def test_same_seed_same_bytes_whatever_the_counts(category: str, tmp_path: Path) -> None:
    few, many = _write(category, tmp_path / "a", num_train=1), _write(category, tmp_path / "b", num_train=2)
    assert set(many) - set(few) == {"train/good/001.png"}
    assert all(many[name] == content for name, content in few.items())


def _four(category: str) -> int:
    """How many of four images, each with another seed, split or index, differ from one another."""
    cases = (("train/good", 0, 0), ("train/good", 1, 0), ("test/good", 0, 0), ("train/good", 0, 1))
    return len({draw_good(category, *case[:2], seed=case[2], size=SIZE).tobytes() for case in cases})


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_part_differs_by_seed_split_and_index(category: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "expose", lambda scene, rng: (scene, np.zeros_like(scene)))
    assert _four(category) == 4


def test_the_camera_differs_by_seed_split_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = np.full((2 * SIZE, 2 * SIZE, 3), 0.5, dtype=np.float32)
    monkeypatch.setitem(PARTS, "gear", (lambda size, rng, defect: flat, ()))
    assert _four("gear") == 4


@pytest.mark.parametrize(("category", "name"), [(c, d) for c in CATEGORIES for d in PARTS[c][1]])
def test_mask_is_where_the_defect_changed_the_image(category: str, name: str) -> None:
    for index in range(2):
        split = f"test/{name}"
        before = draw_good(category, split, index, seed=5, size=SIZE).astype(int)
        image, mask = draw_defect(category, split, index, seed=5, size=SIZE)
        change = np.abs(image.astype(int) - before).max(axis=2)
        # Both share one noise field, so only the defect and rounding (one level) differ.
        assert change[mask == 0].max() <= 10 + 2
        assert (change[mask == 255] >= 10 - 2).mean() > 0.6
        assert 0.0005 < (mask == 255).mean() < 0.2


def test_an_existing_category_is_replaced(tmp_path: Path) -> None:
    stale = tmp_path / "gear" / "train" / "good" / "999.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    _write("gear", tmp_path)
    assert not stale.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["gear"]


def test_a_failed_drawing_leaves_the_old_category(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _write("gear", tmp_path)

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pipelines.demo.generate._save", broken)
    with pytest.raises(OSError, match="disk full"):
        _write("gear", tmp_path, seed=4)
    after = {p.relative_to(tmp_path / "gear").as_posix(): p.read_bytes() for p in tmp_path.rglob("*.png")}
    assert after == before
    assert [p.name for p in tmp_path.iterdir()] == ["gear"]


def test_unknown_category_is_named_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'bottle'.*weave, label, gear"):
        _write("bottle", tmp_path)


@pytest.mark.parametrize(("field", "value"), [("image_size", 31), ("num_train", -1), ("seed", -1)])
def test_numbers_out_of_range_are_refused(field: str, value: int, tmp_path: Path) -> None:
    numbers = {"seed": 0, "image_size": 64, "num_train": 1, "num_good": 1, "num_per_defect": 1, field: value}
    with pytest.raises(ValueError, match=rf"{field}: got {value}"):
        write_category("gear", tmp_path, **numbers)
    assert not list(tmp_path.iterdir())
