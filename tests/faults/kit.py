"""Real processes, real signals: a tiny training that is slow enough to be killed at any of its moments."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import yaml

from fastflow.files import file_sha256
from pipelines.tracking import journal
from tests.conftest import ROOT, SIZE, write_plates

MODEL = Path("models/plates/flow.safetensors")
LOG = Path("log.txt")
SERVER = multiprocessing.get_context("forkserver")  # one process imports PyTorch, each training is forked from it
SERVER.set_forkserver_preload(["tests.faults.kit", "pipelines.train"])


def write_project(folder: Path) -> None:
    """A tiny category and its parameters: a model and two folds, 3 epochs each, of 4 and 2 steps."""
    write_plates(folder / "images/plates")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] = {"root": "images", "categories": ["plates"]}
    values["demo"]["categories"] = ["weave"]
    values["model"]["overrides"] = {"image_size": [SIZE, SIZE], "layers": [1, 2], "flow_steps": 2}
    values["train"] |= {"epochs": 3, "batch_size": 2, "augment": ["hflip"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


def run_stage(stage: str, folder: Path, *, save_seconds: float = 0.05) -> None:
    """Body of a process: a stage's command in `folder`, its output in LOG, states saved often."""
    import torch

    from pipelines import prepare, train
    from pipelines.core.run import run_category_stage
    from pipelines.training import resumable

    os.chdir(folder)
    os.environ["FASTFLOW_SYNC"] = "later"
    out = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger().handlers.clear()
    resumable.SAVE_SECONDS = save_seconds
    sys.argv = [stage, "--category", "plates"]
    work = {"prepare": prepare.prepare, "train": train.train}[stage]
    run_category_stage(work, doc="")


def start(stage: str, folder: Path) -> BaseProcess:
    process = SERVER.Process(target=run_stage, args=(stage, folder))
    process.start()
    return process


def finished(stage: str, folder: Path) -> int:
    """Runs a stage to its end; its exit code."""
    process = start(stage, folder)
    process.join(120)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def model_hash(folder: Path) -> str:
    return file_sha256(folder / MODEL)


def unshared(*options: str) -> list[str]:
    """The command that runs another one in Linux namespaces of its own, which needs no special rights; a test is
    skipped where the system refuses them."""
    command = ["unshare", "--user", *options, "--"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here")
    if tried.returncode:
        pytest.skip(f"this system makes no namespaces for its users: {tried.stderr.strip()}")
    return command


class Watch(threading.Thread):
    """Counts, all the time, the trainers at work: each holds the lock of its run's journal while it works."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.journals, self.most, self.over = folder / journal.JOURNALS, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.most = max(self.most, len(self.alive()))

    def alive(self) -> list[Path]:
        return [f for f in self.journals.glob("[0-9]*") if (f / "alive").exists() and journal.writer_is_alive(f)]
