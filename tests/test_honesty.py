"""No test image and no test label has a say in a model or its threshold."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fastflow.files import file_sha256
from fastflow.index import write_index
from pipelines.core.params import read_params
from pipelines.train import train
from tests.conftest import ROOT
from tests.stages import project as project  # the fixture
from tests.stages import run, write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations
# an audit hook: called for every file that is opened and every folder that is listed
AUDITED = """
import sys
def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and "/test" in str(arguments[0]):
        seen.append(str(arguments[0]))
seen = []
sys.addaudithook(note)
from pipelines import {stage}
sys.argv = ["{stage}", "--category", "plates"]
try:
    {stage}.run_category_stage({stage}.{stage}, doc="")
finally:
    print("OPENED", [path for path in seen if "images/plates" in path])
"""


def opened_test_files(stage: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", AUDITED.format(stage=stage)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("OPENED"))


def test_training_opens_no_test_image_and_evaluation_does(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert run("prepare", monkeypatch) == 0
    assert opened_test_files("train") == "OPENED []"
    assert "test/square/000.png" in opened_test_files("evaluate")


def test_test_labels_change_neither_weights_nor_threshold(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("prepare", monkeypatch) == 0
    index = project / "data/prepared/plates.csv"
    made = []
    for shuffled in (False, True):
        if shuffled:
            table = pd.read_csv(index, keep_default_na=False)
            test = table["split"] == "test"
            labels = ["defect_type", "gt_label", "mask_path"]
            table.loc[test, labels] = table.loc[test, labels].to_numpy()[::-1]
            write_index(table, index)
        train("plates", read_params())
        made.append({file: file_sha256(project / "models/plates" / file) for file in ("flow.safetensors",)})
        config = pd.read_json(project / "models/plates/config.json", typ="series")
        made[-1]["threshold"] = repr(config["threshold"])
        shutil.rmtree(project / "models")
    assert made[0] == made[1]


def test_only_the_trained_on_images_and_the_seed_decide(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart: what should have a say has one."""
    assert run("prepare", monkeypatch) == 0
    made = []
    for rate in (0.004, 0.005):
        write_tiny_params(project, learning_rate=rate)
        train("plates", read_params())
        made.append(file_sha256(project / "models/plates/flow.safetensors"))
    assert made[0] != made[1]
