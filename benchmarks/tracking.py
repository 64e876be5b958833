"""What a bad MLflow server costs a real training: python -m benchmarks.tracking --data-root DIR --category bottle

The same training, as its own process, in turns: nothing sent, the local store, and servers that refuse, never answer,
answer with errors, or slowly. Prints seconds from start to exit, each against the turn's training that sends nothing.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml

from pipelines.params import PARAMS_FILE, read_yaml
from tests.bad_server import bad_server

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


def trained(kind: str, folder: Path, category: str) -> float:
    """Seconds of one training from start to exit; it fails if its exit code is not 0."""
    shutil.rmtree(folder / ".mlflow", ignore_errors=True)
    shutil.rmtree(folder / "models", ignore_errors=True)
    with contextlib.ExitStack() as stack:
        environment = {"FASTFLOW_SYNC": "later" if kind == "nothing sent" else "now"}
        if kind not in ("nothing sent", "local store"):
            environment["MLFLOW_TRACKING_URI"] = stack.enter_context(bad_server(kind))
        start = time.perf_counter()
        run("train", folder, category, environment)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--category", required=True)
    parser.add_argument("--weights", type=Path, help="a .safetensors file; random if not given")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, args)
        for turn in range(args.rounds):
            for kind in KINDS:
                seconds[kind].append(trained(kind, folder, args.category))
                print(f"round {turn}  {kind:13} {seconds[kind][-1]:7.1f} s", flush=True)
    for kind in KINDS[1:]:
        ratios = [a / b for a, b in zip(seconds[kind], seconds[KINDS[0]], strict=True)]
        print(
            f"{kind:13} {median(ratios) - 1:+.1%} (median of {len(ratios)}; each {[f'{r - 1:+.1%}' for r in ratios]})"
        )


if __name__ == "__main__":
    main()
