"""What a folder of photographs costs beside decoding them once, with all cores: seconds and the peak of memory.

    python -m benchmarks.validate [--images 1000] [--size 700] [--suffix .jpg] [--rounds 1] [--folder DIR]

Draws the images into one folder, or takes those of DIR. Each round times, in processes of their own and in turn,
decoding every file with the product's own decoder, `fastflow init`, which copies and checks them, and
`fastflow validate`. All find the files in the system's cache, which favours decoding: `init` also writes them, once.
In brackets: of all cores together, which others on a shared machine disturb less.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.photographs import draw_category
from fastflow.decode import image_files

ROOT = Path(__file__).resolve().parent.parent
DECODE = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from fastflow.decode import image_files, read_image
with ThreadPoolExecutor(os.cpu_count()) as pool:
    sum(pool.map(lambda path: read_image(path).size, image_files(Path(sys.argv[1]))))
"""
MAIN = "from pipelines.cli.app import main; main()"


class Cost(NamedTuple):
    """Of one process: wall-clock seconds, those of all cores in it, and the most MB that were resident."""

    seconds: float
    busy: float
    mb: float


def cost(folder: Path, code: str, *words: str) -> Cost:
    """Runs Python `code` in `folder`; its output is shown where it fails."""
    own = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=folder, env=os.environ | own, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
        if status:
            output.seek(0)
            raise SystemExit(f"{' '.join(words)} failed:\n{output.read().decode(errors='replace')[-3000:]}")
    mb = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Cost(seconds, usage.ru_utime + usage.ru_stime, mb)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=700)
    parser.add_argument("--suffix", default=".jpg")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        shutil.copyfile(ROOT / "params.yaml", project / "params.yaml")
        source = args.folder and args.folder.resolve()
        if source is None:
            drawn = draw_category(
                project / "drawn", size=args.size, good={"train": args.images}, defective=0, suffix=args.suffix
            )
            source = drawn / "train/good"
        print(f"{len(image_files(source)):,} images, {os.cpu_count()} cores", flush=True)
        for _ in range(args.rounds):
            decode = cost(project, DECODE, str(source))
            init = cost(project, MAIN, "init", str(source), "--name", "part", "--yes")
            validate = cost(project, MAIN, "validate", "part")
            shutil.rmtree(project / "data/own")
            for name, found in (("decode", decode), ("init", init), ("validate", validate)):
                ratios = f"{found.seconds / decode.seconds:.2f} ({found.busy / decode.busy:.2f})"
                seconds = f"{found.seconds:6.1f} s ({found.busy:6.1f} s)"
                print(f"{name:<8} {seconds}  {ratios}  {found.mb:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
