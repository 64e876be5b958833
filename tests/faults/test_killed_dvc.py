"""DVC killed in the middle of a training, and called again at once: one trainer at a time, and a clean end."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import FULL
from tests.faults.kit import Watch
from tests.stages import write_tiny_params
from tests.test_pipeline import change_params, dvc
from tests.test_pipeline import project as project  # the fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def repro(folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc/site-cache"),
        "PYTHONPATH": str(folder),
        "FASTFLOW_SYNC": "later",
    }
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "train@plates"]
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)


def test_killed_again_and_again_there_are_never_two_trainers_and_the_end_is_clean(project: Path) -> None:
    write_tiny_params(project, epochs=800 if FULL else 240, learning_rate=0.0005)
    change_params(project, data={"root": "images", "categories": ["plates"]}, demo_categories=[])
    dvc(project, "repro", "prepare@plates")
    watch = Watch(project)
    watch.start()
    rng = random.Random(0)
    for number in [signal.SIGKILL, signal.SIGTERM] * (10 if FULL else 3):
        orphans = set(watch.alive())
        process = repro(project)
        end = time.monotonic() + 10
        while orphans & set(watch.alive()):
            assert time.monotonic() < end, "a trainer outlives its DVC"
            time.sleep(0.01)
        end = time.monotonic() + 60
        while not watch.alive() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.8))
        assert process.poll() is None, (project / "said.txt").read_text()[-3000:]
        process.send_signal(number)
        process.wait(120)
    assert repro(project).wait(300) == 0, (project / "said.txt").read_text()[-3000:]
    watch.over.set()
    watch.join(120)
    assert watch.most == 1
    assert not watch.alive()
    assert "train@plates" not in dvc(project, "status", "train@plates")
    assert written(project) == locked(project)
    assert "resuming after step" in (project / "said.txt").read_text()


def written(project: Path) -> dict[str, str]:
    files = sorted((project / "models/plates").iterdir())
    return {p.name: hashlib.md5(p.read_bytes(), usedforsecurity=False).hexdigest() for p in files}


def locked(project: Path) -> dict[str, str]:
    """The files of the model by name, as dvc.lock and the cache know them."""
    outs = yaml.safe_load((project / "dvc.lock").read_text())["stages"]["train@plates"]["outs"]
    digest = next(out["md5"] for out in outs if out["path"] == "models/plates")
    listing = json.loads((project / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).read_text())
    return {entry["relpath"]: entry["md5"] for entry in listing}
