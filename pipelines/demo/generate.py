"""Draw small categories in the MVTec AD layout (Bergmann et al., CVPR 2019), from a seed and nothing else.

`weave` is a texture, `label` an aligned printed object, `gear` a metal part at any angle.
"""

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipelines.demo import gear, label, weave
from pipelines.demo.canvas import Defect, Field, expose, stream

Draw = Callable[[int, np.random.Generator, Defect | None], Field]
Pixels = NDArray[np.uint8]
PARTS: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "weave": (weave.draw_weave, weave.DEFECTS),
    "label": (label.draw_label, label.DEFECTS),
    "gear": (gear.draw_gear, gear.DEFECTS),
    "pinion": (partial(gear.draw_gear, radius=gear.PINION_RADIUS), gear.DEFECTS),
}
CATEGORIES: tuple[str, ...] = tuple(PARTS)
VISIBLE_CHANGE = 10.0 / 255.0  # a smaller change of a pixel is lost in the sensor noise
MIN_DEFECT_FRACTION = 0.0006  # of the image that a defect must change, else it is drawn again


def _photograph(
    category: str, split: str, index: int, *, seed: int, size: int, defect: Defect | None
) -> tuple[Field, Field]:
    """Noise-free image and its noise, each (size, size, 3); `split` is "train/good", "test/hole", ..."""
    draw, _ = PARTS[category]
    scene = draw(size, stream(seed, category, split, index, "part"), defect)
    return expose(scene, stream(seed, category, split, index, "camera"))


def _quantized(image: Field) -> Pixels:
    return np.asarray(np.clip(np.rint(image * np.float32(255.0)), 0, 255), dtype=np.uint8)


def draw_good(category: str, split: str, index: int, *, seed: int, size: int) -> Pixels:
    """Image (size, size, 3) uint8 without a defect; with a defect's split, that part before its damage."""
    image, noise = _photograph(category, split, index, seed=seed, size=size, defect=None)
    return _quantized(image + noise)


def draw_defect(category: str, split: str, index: int, *, seed: int, size: int) -> tuple[Pixels, Pixels]:
    """Image (size, size, 3) and mask (size, size), 255 where the defect changed the image visibly."""
    before, _ = _photograph(category, split, index, seed=seed, size=size, defect=None)
    for attempt in range(50):
        defect = Defect(split.split("/")[1], stream(seed, category, split, index, "defect", attempt))
        image, noise = _photograph(category, split, index, seed=seed, size=size, defect=defect)
        changed = np.abs(np.clip(image, 0, 1) - np.clip(before, 0, 1)).max(axis=2) > VISIBLE_CHANGE
        if changed.sum() >= max(4.0, MIN_DEFECT_FRACTION * size * size):
            break
    else:
        raise AssertionError(f"{category}/{split} {index}: no visible defect in 50 attempts")
    # Close pin holes: pixels in a defect that happen to look as before. Padded, for defects at the border.
    reach = max(1, size // 128)
    closed = ndimage.binary_closing(np.pad(changed, reach), iterations=reach)[reach:-reach, reach:-reach]
    mask = ndimage.binary_fill_holes(closed)
    return _quantized(image + noise), mask.astype(np.uint8) * np.uint8(255)


def _save(pixels: Pixels, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=3)


def _draw_folder(
    category: str, folder: Path, *, seed: int, size: int, num_train: int, num_good: int, num_per_defect: int
) -> None:
    for split, count in (("train/good", num_train), ("test/good", num_good)):
        for index in range(count):
            image = draw_good(category, split, index, seed=seed, size=size)
            _save(image, folder / split / f"{index:03d}.png")
    for name in PARTS[category][1]:
        for index in range(num_per_defect):
            image, mask = draw_defect(category, f"test/{name}", index, seed=seed, size=size)
            _save(image, folder / "test" / name / f"{index:03d}.png")
            _save(mask, folder / "ground_truth" / name / f"{index:03d}_mask.png")


def write_category(
    category: str,
    root: Path,
    *,
    seed: int,
    image_size: int,
    num_train: int,
    num_good: int,
    num_per_defect: int,
) -> None:
    """Write `root/category` in the MVTec AD layout; a folder of that name is replaced, whole or not at all.

    Images are RGB PNGs of `image_size` pixels a side (32 or more); masks are mode L, 0 or 255. The pixels
    of an image depend on the seed, its category, split and index, never on the counts.

    Raises ValueError for an unknown category, a size below 32, or a negative seed or count.
    """
    if category not in PARTS:
        raise ValueError(f"demo category: got {category!r}, allowed: {', '.join(CATEGORIES)}")
    if image_size < 32:
        raise ValueError(f"demo image_size: got {image_size}, must be 32 or more")
    counts = {"seed": seed, "num_train": num_train, "num_good": num_good, "num_per_defect": num_per_defect}
    for name, value in counts.items():
        if value < 0:
            raise ValueError(f"demo {name}: got {value}, must be 0 or more")
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{category}-", dir=root))
    try:
        _draw_folder(
            category,
            scratch / category,
            seed=seed,
            size=image_size,
            num_train=num_train,
            num_good=num_good,
            num_per_defect=num_per_defect,
        )
        if (root / category).exists():
            (root / category).rename(scratch / "old")
        (scratch / category).rename(root / category)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
