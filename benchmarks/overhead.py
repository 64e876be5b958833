"""What a retraining costs beside the stages' own work: python -m benchmarks.overhead

The last commit, in a clone in a temporary folder with compiled bytecode, retrains three small demo categories. Train
and evaluate of one are timed in four shells, in turns, each adding one thing: the work in a process that has done it
before; processes of their own; DVC; the Prefect flow, whose uploader sends them to MLflow. The differences of the
medians are what each costs. Also timed: MLflow for a stage by itself, and a flow that finds nothing to do.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import median

import yaml

ROOT = Path(__file__).resolve().parent.parent
CATEGORIES = ["weave", "label", "gear"]
SMALL = {
    "data": {"categories": CATEGORIES},
    "demo": {"categories": CATEGORIES, "image_size": 64, "num_train": 16, "num_good": 4, "num_per_defect": 2},
    "train": {"epochs": 1},
}
WARM = """
import time
from pipelines.evaluate import evaluate
from pipelines.core.params import read_params
from pipelines.train import train
for _ in range(2):
    start = time.perf_counter()
    train("weave", read_params())
    evaluate("weave", read_params())
print("seconds", time.perf_counter() - start)
"""
SHELLS = {
    "work": "the stages' own work",
    "process": "interpreter and imports, two processes",
    "dvc": "DVC, asked twice",
    "flow": "Prefect and MLflow: tasks, logs, progress; run and version sent by the retraining's uploader",
    "category": "up-to-date check of prepare, the gate, artifacts",
}


def prepare(folder: Path) -> None:
    """A clone of the last commit with small categories, drawn, checked and trained once."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    for section, changes in SMALL.items():
        values[section] |= changes
    values["model"]["overrides"] = {"image_size": [64, 64], "flow_steps": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    run(folder, "compileall", "-q", "fastflow", "pipelines")
    run(folder, "pipelines.cli.operations", "flow")


def run(folder: Path, *command: str, environment: Mapping[str, str] | None = None) -> str:
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PREFECT_HOME": str(folder / ".prefect"),
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc/site-cache"),
        "DVC_NO_ANALYTICS": "1",
    }
    start = [sys.executable] if command[0] == "-c" else [sys.executable, "-m"]
    here = os.environ | own | dict(environment or {})
    done = subprocess.run([*start, *command], cwd=folder, env=here, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def seconds(folder: Path, *command: str, environment: Mapping[str, str] | None = None) -> float:
    start = time.perf_counter()
    run(folder, *command, environment=environment)
    return time.perf_counter() - start


def processes(folder: Path, *, sync: str) -> float:
    stages, environment = ("train", "evaluate"), {"FASTFLOW_SYNC": sync}
    return sum(seconds(folder, f"pipelines.{s}", "--category", "weave", environment=environment) for s in stages)


def measure(folder: Path) -> dict[str, float]:
    """Seconds of train and evaluate of one category in each shell, of its whole task, and of a flow without news."""
    warm = run(folder, "-c", WARM, environment={"FASTFLOW_SYNC": "later"})
    process, sent = processes(folder, sync="later"), processes(folder, sync="now")
    stages = [f"{stage}@weave" for stage in ("train", "evaluate")]
    later = {"FASTFLOW_SYNC": "later"}
    dvc = sum(seconds(folder, "dvc", "repro", "--single-item", "--force", one, environment=later) for one in stages)
    whole = seconds(folder, "pipelines.cli.operations", "flow", "--force")
    tasks = last_tasks(folder / ".prefect/prefect.db")
    return {
        "work": float(warm.rpartition("seconds ")[2]),
        "process": process,
        "sent": sent,
        "dvc": dvc,
        "flow": sum(median(tasks[f"{stage}@{c}"] for c in CATEGORIES) for stage in ("train", "evaluate")),
        "category": median(tasks[c] for c in CATEGORIES),
        "once": whole - sum(tasks[c] for c in CATEGORIES),
        "nothing": seconds(folder, "pipelines.cli.operations", "flow"),
    }


def sizes(folder: Path) -> dict[str, float]:
    """kB of each database."""
    stores = {"MLflow": folder / ".mlflow/mlflow.db", "Prefect": folder / ".prefect/prefect.db"}
    return {name: path.stat().st_size / 1e3 for name, path in stores.items()}


def last_tasks(database: Path) -> dict[str, float]:
    """Seconds of each task of the latest flow run, by name."""
    asked = (
        "SELECT name, start_time, end_time FROM task_run WHERE flow_run_id ="
        " (SELECT id FROM flow_run ORDER BY start_time DESC LIMIT 1)"
    )
    with closing(sqlite3.connect(database)) as store:
        rows = store.execute(asked).fetchall()
    moment = datetime.fromisoformat
    return {name: (moment(end) - moment(start)).total_seconds() for name, start, end in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write what was measured here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fastflow"
        prepare(folder)
        before, measured = sizes(folder), [measure(folder) for _ in range(args.repeats)]
        after = sizes(folder)
    found = {name: median(m[name] for m in measured) for name in measured[0]}
    print(f"\nTrain and evaluate of one category, medians of {args.repeats}, {os.cpu_count()} cores")
    so_far = 0.0
    for name, what in SHELLS.items():
        print(f"{found[name] - so_far:8.1f} s   {what}")
        so_far = found[name]
    print(f"{found['flow'] - found['process']:8.1f} s   DVC, Prefect and MLflow together, of a category")
    print(f"{found['flow'] - found['work']:8.1f} s   train and evaluate together, everything but their own work")
    print(f"{found['sent'] - found['process']:8.1f} s   MLflow for train and evaluate by themselves, a process each")
    print(f"{found['once']:8.1f} s   once a retraining: Prefect's private server, what is stale, the report")
    print(f"{found['nothing']:8.1f} s   a flow that finds nothing to do")
    trainings = {"MLflow": 2 + 2 + 1 + len(CATEGORIES), "Prefect": len(CATEGORIES)}  # of one repeat
    for name, size in after.items():
        growth = (size - before[name]) / args.repeats / trainings[name]
        print(f"{growth:8.0f} kB  {name}'s database, a category")
    if args.json:
        args.json.write_text(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
