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

from benchmarks.photographs import draw_category
from fastflow.decode import read_image
from fastflow.index import list_category
from pipelines.core.params import read_params
from pipelines.data.checks.policy import check_and_decide


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        good = {"train": count - count // 5, "test": count // 5}
        folder = draw_category(Path(temporary) / "drawn", size=1024, good=good, defective=0)
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
