"""A category of drawn images that cost as much to decode as photographs: a smooth pattern under fine noise."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageFilter

BOTTLE = MappingProxyType({"train": 209, "test": 20})  # MVTec AD's `bottle`, which has 63 defective images, too


def draw_category(
    folder: Path, *, size: int = 900, good: Mapping[str, int] = BOTTLE, defective: int = 63, suffix: str = ".png"
) -> Path:
    """Images of `size` x `size` in MVTec AD's layout, PNG or JPEG; a defect is a bright square, with its mask."""
    pattern = np.asarray(Image.effect_noise((size, size), 90).filter(ImageFilter.GaussianBlur(12)), np.int16)
    tasks = [(f"{split}/good", i, False) for split, count in good.items() for i in range(count)]
    tasks += [("test/square", i, True) for i in range(defective)]
    for kind in {kind for kind, *_ in tasks} | ({"ground_truth/square"} if defective else set()):
        (folder / kind).mkdir(parents=True)

    def one(number: int) -> None:
        kind, name, defect = tasks[number]
        rng = np.random.default_rng(number)
        pixels = np.roll(pattern, rng.integers(0, size, 2), (0, 1))[..., None] + rng.integers(-6, 7, (size, size, 3))
        if defect:
            top, left = rng.integers(0, size * 3 // 4, 2)
            mask = np.zeros((size, size), bool)
            mask[top : top + size // 8, left : left + size // 8] = True
            pixels[mask] += 60
            Image.fromarray(mask).save(folder / f"ground_truth/square/{name:04}_mask.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            folder / kind / f"{name:04}{suffix}", compress_level=1, quality=90
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(len(tasks))))
    return folder
