"""What grows with the number of categories: python -m benchmarks.capacity

In a project of so many categories, of 350 images each as MVTec AD's (here of 1 kB: DVC knows an unchanged file by
its size and time), all up to date: seconds until DVC knows that of all; until one stage is found to have nothing to do;
and until one that made something is recorded, for which DVC writes dvc.lock anew.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from dvc.repo import Repo  # type: ignore[import-untyped]

from pipelines.core.dvc import stage_environment

ROOT = Path(__file__).resolve().parent.parent
TRAIN_IMAGES, TEST_IMAGES, BYTES_PER_IMAGE = 240, 110, 1000


def dvc(folder: Path, *arguments: str) -> float:
    """Seconds that DVC took."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=stage_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def make_project(folder: Path, categories: list[str]) -> None:
    """A clone in which DVC takes drawn-up outputs for what the stages made."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["data"] = {"root": "images", "categories": categories}
    values["demo"]["categories"] = []
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    for category in categories:
        for part, count in (("train/good", TRAIN_IMAGES), ("test/good", TEST_IMAGES)):
            for number in range(count):
                write(folder / "images" / category / part / f"{number:03}.png", BYTES_PER_IMAGE)
    for stage in Repo(str(folder)).index.stages:
        for out in stage.outs:
            path = Path(str(out.fs_path))
            path = path if path.suffix else path / "file"
            write(path, BYTES_PER_IMAGE)
            if path.suffix == ".json":
                path.write_text("{}")
    dvc(folder, "commit", "--force")


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


def measure_dvc(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder, categories = Path(scratch) / "fastflow", [f"part{number:04}" for number in range(count)]
        make_project(folder, categories)
        stage = f"train@{categories[-1]}"
        all_of_them = dvc(folder, "status", "--json")
        one = dvc(folder, "repro", "--single-item", stage)
        write(folder / "models" / categories[-1] / "file", BYTES_PER_IMAGE)
        recorded = dvc(folder, "commit", "--force", stage)
        size = (folder / "dvc.lock").stat().st_size
    row = f"{count:5d} {all_of_them:12.1f} s {one:12.1f} s {recorded:12.1f} s {size / 1e3:10.0f} kB"
    print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--categories", type=int, nargs="+", default=[3, 15, 50, 100, 200])
    args = parser.parse_args()
    print("categories  all known in  one known in  one recorded in   dvc.lock")
    for count in args.categories:
        measure_dvc(count)


if __name__ == "__main__":
    main()
