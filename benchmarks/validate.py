"""How much longer checking a category takes than decoding it: python -m benchmarks.validate [images]

Draws photographs-like PNG images of 1024x1024 into a temporary folder, then times both with all cores.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from fastflow.decode import read_image
from fastflow.index import list_category
from pipelines.checks.policy import check_and_decide
from pipelines.params import read_params

SIZE = 1024


def draw(folder: Path, count: int) -> None:
    """A smooth pattern with fine noise in every image, four fifths of them for training."""
    for split in ("train", "test"):
        (folder / split / "good").mkdir(parents=True)
    pattern = np.asarray(Image.effect_noise((SIZE, SIZE), 90).filter(ImageFilter.GaussianBlur(12)), np.int16)

    def one(number: int) -> None:
        rng = np.random.default_rng(number)
        pixels = np.roll(pattern, rng.integers(0, SIZE, 2), (0, 1))[..., None] + rng.integers(-6, 7, (SIZE, SIZE, 3))
        split = "test" if number % 5 == 0 else "train"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / split / "good" / f"{number:04}.png")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(count)))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "drawn"
        draw(folder, count)
        paths = [folder / path for path in list_category(folder)["image_path"]]
        findings = read_params().findings
        for turn in range(3):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                decoding = seconds(lambda: list(pool.map(read_image, paths)))
            checking = seconds(lambda: check_and_decide(folder, findings))
            ratio = checking / decoding
            print(
                f"{turn}: {count} images, decode {decoding:.1f} s, check {checking:.1f} s, ratio {ratio:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
