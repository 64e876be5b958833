"""Folders as people keep them, drawn small: noisy plates, defective ones with a bright square, and its mask."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.arrange import marks_of
from fastflow.marks import MaskRule
from pipelines.data.layouts.reading import Reading

SIDE = 24
AS_DRAWN = MaskRule()
Change = Callable[[Image.Image], Image.Image]


def same(mask: Image.Image) -> Image.Image:
    return mask


def square(name: str) -> tuple[int, int, int]:
    """Row, column and side of the defect of the image of this name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return int(rng.integers(4, 12)), int(rng.integers(4, 12)), int(rng.integers(4, 8))


def truth(name: str) -> NDArray[np.bool_]:
    """The mask of the image of this name (its stem)."""
    row, column, side = square(name)
    marked = np.zeros((SIDE, SIDE), bool)
    marked[row : row + side, column : column + side] = True
    return marked


def photograph(name: str, *, defect: bool = False) -> Image.Image:
    pixels = np.random.default_rng(zlib.crc32(name.encode()) + defect).normal(110, 12, (SIDE, SIDE, 3))
    if defect:
        pixels[truth(name)] += 90
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def mask_image(name: str) -> Image.Image:
    return Image.fromarray(truth(name).astype(np.uint8) * 255)


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95) if path.suffix.lower() in (".jpg", ".jpeg") else image.save(path)
    return path


def good(folder: Path, count: int = 6, *, name: str = "{:03}.png") -> list[Path]:
    """Good photographs; each differs from every other of any folder."""
    paths = [folder / name.format(number) for number in range(count)]
    return [save(photograph(str(path)), path) for path in paths]


def bad(folder: Path, count: int = 3, *, name: str = "{:03}.png", masks: str = "", change: Change = same) -> list[Path]:
    """Defective photographs; `masks` names the mask of number {:03}, relative to `folder`; `change` redraws it."""
    paths = [folder / name.format(number) for number in range(count)]
    for number, path in enumerate(paths):
        save(photograph(path.stem, defect=True), path)
        if masks:
            save(change(mask_image(path.stem)), folder / masks.format(number))
    return paths


def classes(reading: Reading, folder: Path) -> dict[str, set[str]]:
    """The names of the images of each class; good ones under train or test where the folder said so."""
    found: dict[str, set[str]] = {}
    for item in reading.items:
        found.setdefault(item.defect_type, set()).add(item.image.relative_to(folder).as_posix())
    return found


def names(folder: str, count: int, *, name: str = "{:03}.png") -> set[str]:
    return {f"{folder}{name.format(number)}" for number in range(count)}


def assert_masks_are_true(reading: Reading, rule: MaskRule = AS_DRAWN) -> None:
    """Every defective image has a mask, and it marks what was drawn; no good image has one."""
    for item in reading.items:
        if item.defect_type == "good":
            assert not item.masks, item
        else:
            assert item.masks, item
            assert np.array_equal(marks_of(item, rule) == 255, truth(item.image.stem)), item


def stops(reading: Reading) -> list[str]:
    return [str(doubt) for doubt in reading.doubts if doubt.stops]
