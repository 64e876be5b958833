"""How much longer a category takes to check, and a folder to init, than to decode once:

    python -m benchmarks.validate [images] [size]

Draws photographs-like PNG images into a temporary folder, then times all with all cores, and says the peak of memory.
"""

import os
import resource
import shutil
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
from pipelines.data.add_category import add_category
from pipelines.data.checks.policy import check_and_decide


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(count: int, size: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        good = {"train": count - count // 5, "test": count // 5}
        folder = draw_category(Path(temporary) / "drawn", size=size, good=good, defective=0)
        paths = [folder / path for path in list_category(folder)["image_path"]]
        findings, own = read_params().findings, Path(temporary) / "own"
        for turn in range(3):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                decoding = seconds(lambda: list(pool.map(lambda path: bool(read_image(path).size), paths)))
            checking = seconds(lambda: check_and_decide(folder, findings))
            whole = seconds(lambda: add_category(folder, "part", root=own, yes=True))
            shutil.rmtree(own)
            print(
                f"{turn}: {count} images of {size}x{size}, decode {decoding:.1f} s; check {checking / decoding:.2f}, "
                f"init {whole / decoding:.2f} times that; at most "
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB",
                flush=True,
            )


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(*(words + [1000, 1024][len(words) :]))
