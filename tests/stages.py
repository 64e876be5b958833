"""The stages in this process on a tiny category, as a test calls them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines import draw, evaluate, prepare, report, train
from pipelines.core.params import Params
from pipelines.core.run import run_category_stage, run_stage
from tests.conftest import ROOT, SIZE, write_plates

TINY = {
    "data": {"root": "images", "categories": ["plates"]},
    "demo": {"categories": ["weave"], "image_size": 64, "num_train": 3, "num_good": 2, "num_per_defect": 1},
    "model": {"preset": "resnet18", "weights": "random"}
    | {"overrides": {"image_size": [SIZE, SIZE], "layers": [1, 2], "flow_steps": 2}},
}
LAX = {"first": "promote", "image_auroc": 0.0, "miss_rate": 1.0, "false_reject_rate": 1.0, "least_images": 1} | {
    "epsilon": 0.99  # what two images of a kind without any difference leave possible
}
"""What a gate asks of models of few steps on a handful of test images."""
STAGE_NAMES = ("prepare", "train", "evaluate")
WORK: dict[str, Callable[[str, Params], None]] = {
    "draw": draw.draw,
    "prepare": prepare.prepare,
    "train": train.train,
    "evaluate": evaluate.evaluate,
}


def shipped_gate() -> dict[str, object]:
    """Section `gate` of params.yaml, as people get it."""
    return dict(yaml.safe_load((ROOT / "params.yaml").read_text())["gate"])


def write_tiny_params(folder: Path, **train: object) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text()) | TINY
    values["gate"] |= LAX
    values["train"] |= {"epochs": 6, "min_steps": 1, "batch_size": 4} | train
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


def run(stage: str, monkeypatch: pytest.MonkeyPatch, category: str = "plates") -> int:
    monkeypatch.setattr(sys, "argv", [stage, "--category", category])
    with pytest.raises(SystemExit) as ended:
        run_category_stage(WORK[stage], doc="")
    return int(str(ended.value.code))


def run_report(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["report"])
    with pytest.raises(SystemExit) as ended:
        run_stage(report.report, doc="")
    return int(str(ended.value.code))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny parameters and a drawn category, as the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFLOW_SYNC", "later")  # these tests sync themselves, here: a process more costs seconds
    write_plates(tmp_path / "images/plates")
    write_tiny_params(tmp_path)
    return tmp_path
