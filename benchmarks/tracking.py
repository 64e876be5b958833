"""What a bad MLflow server costs a real training: python -m benchmarks.tracking --data-root DIR --category bottle

The same training, as its own process, in turns: nothing sent, the local store, and servers that refuse, never answer,
answer with errors, or slowly. A whole training's wall time varies by more than a server costs it, so both costs are
measured by themselves: the seconds from the written model to the exit, beyond those of a training that sends nothing,
and the processor's seconds of the process that carries the run to MLflow.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import yaml

from pipelines.core.params import PARAMS_FILE, read_yaml
from tests.data.bad_server import bad_server

KINDS = ("nothing sent", "local store", "refused", "silent", "error", "slow")


def prepare(folder: Path, args: argparse.Namespace) -> None:
    """A project of one category, its images checked."""
    values = read_yaml(PARAMS_FILE)
    values["data"] = {"root": str(args.data_root.resolve()), "categories": [args.category]}
    values["model"]["weights"] = str(args.weights.resolve()) if args.weights else "random"
    values["train"]["epochs"] = args.epochs
    (folder / PARAMS_FILE).write_text(yaml.safe_dump(values))
    run("prepare", folder, args.category, {"FASTFLOW_SYNC": "later"})


def run(stage: str, folder: Path, category: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", f"pipelines.{stage}", "--category", category]
    here = {"PYTHONPATH": str(Path.cwd())} | environment
    subprocess.run(command, cwd=folder, env=os.environ | here, check=True, stdout=subprocess.DEVNULL)


class Spent(NamedTuple):
    """Seconds of one training: from start to exit, from the written model to the exit, of the uploader's processor."""

    whole: float
    after: float
    uploader: float


def trained(kind: str, folder: Path, category: str) -> Spent:
    """One training; it fails if its exit code is not 0."""
    shutil.rmtree(folder / ".mlflow", ignore_errors=True)
    shutil.rmtree(folder / "models", ignore_errors=True)
    with contextlib.ExitStack() as stack:
        environment = {"FASTFLOW_SYNC": "later" if kind == "nothing sent" else "now"}
        if kind not in ("nothing sent", "local store"):
            environment["MLFLOW_TRACKING_URI"] = stack.enter_context(bad_server(kind))
        return timed(folder, category, environment)


def timed(folder: Path, category: str, environment: dict[str, str]) -> Spent:
    command = [sys.executable, "-u", "-m", "pipelines.train", "--category", category]
    here = os.environ | {"PYTHONPATH": str(Path.cwd())} | environment
    start = written = time.perf_counter()
    uploader, over = [0.0], threading.Event()
    process = psutil.Popen(command, cwd=folder, env=here, stdout=subprocess.PIPE, text=True)
    watcher = threading.Thread(target=watch, args=[process, uploader, over])
    watcher.start()
    for line in process.stdout:
        if f"wrote models/{category}" in line:
            written = time.perf_counter()
    if process.wait():
        raise SystemExit(f"the training ended with exit code {process.returncode}")
    end = time.perf_counter()
    over.set()
    watcher.join()
    return Spent(end - start, end - written, uploader[0])


def watch(process: psutil.Popen, uploader: list[float], over: threading.Event) -> None:
    """Keeps the last known processor's seconds of the process that carries the journal."""
    while not over.wait(0.1):
        with contextlib.suppress(psutil.Error):
            for child in process.children():
                if "follow" in child.cmdline():
                    uploader[0] = sum(child.cpu_times()[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--category", required=True)
    parser.add_argument("--weights", type=Path, help="a .safetensors file; random if not given")
    parser.add_argument("--epochs", type=int, help="those of params.yaml if not given")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS[1:], default=KINDS[1:], help="which servers; all if not given"
    )
    args = parser.parse_args()
    kinds = (KINDS[0], *args.kinds)
    spent: dict[str, list[Spent]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, args)
        for turn in range(args.rounds):
            for kind in kinds:
                spent[kind].append(trained(kind, folder, args.category))
                print(f"round {turn}  {kind:13}", "  ".join(f"{s:7.1f} s" for s in spent[kind][-1]), flush=True)
    whole = median(s.whole for s in spent[KINDS[0]])
    for kind in kinds[1:]:
        after = median(s.after for s in spent[kind]) - median(s.after for s in spent[KINDS[0]])
        uploader = median(s.uploader for s in spent[kind])
        share = after / whole + uploader / whole / (os.cpu_count() or 1)
        print(
            f"{kind:13} ends {after:+.1f} s later, uploader {uploader:.1f} s of one core: {share:.1%} of {whole:.0f} s"
        )


if __name__ == "__main__":
    main()
