"""What a finding means for a run: refused, its image left out, or only reported; and what prepare does of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fastflow.index import list_category
from pipelines.core.params import Findings
from pipelines.data.checks.category import leave_out
from pipelines.data.checks.policy import check_and_decide, decide
from tests.conftest import ROOT
from tests.data.faults import POLICY, blank_mask, leak, no_utf8, truncate


def test_quarantine_leaves_out_exactly_the_images_at_fault(many: Path) -> None:
    truncate(many)
    blank_mask(many)
    leak(many)
    changes = {"unreadable": "quarantine", "empty_mask": "quarantine", "leakage": "quarantine"}
    index, decided, _ = check_and_decide(many, POLICY.model_copy(update=changes))
    assert not decided["refuse"]
    kept = leave_out(index, decided["quarantine"])
    gone = set(index["image_path"]) - set(kept["image_path"])
    assert gone == {"train/good/001.png", "test/square/004.png", "train/good/leak.png"}


def test_quarantine_of_clashing_folders_leaves_out_each_image_of_one(many: Path) -> None:
    shutil.copytree(many / "test/square", many / "test/Square")
    shutil.copytree(many / "ground_truth/square", many / "ground_truth/Square")
    shutil.copy(many / "ground_truth/square/000_mask.png", many / "ground_truth/square/000_MASK.png")
    policy = POLICY.model_copy(update={"name_clash": "quarantine", "extra_mask": "report"})
    index, decided, _ = check_and_decide(many, policy)
    assert not decided["refuse"]
    kept = leave_out(index, decided["quarantine"])
    assert {f.path for f in decided["quarantine"]} >= {f"test/square/{i:03}.png" for i in range(12)}
    assert len({str(f) for f in decided["quarantine"]}) == len(decided["quarantine"])
    assert set(index["image_path"]) - set(kept["image_path"]) == {f"test/square/{i:03}.png" for i in range(12)}


def test_what_cannot_be_left_out_is_refused_and_not_quarantined(many: Path) -> None:
    (many / "test/empty").mkdir()
    (many / "test/EMPTY").mkdir()
    _, decided, _ = check_and_decide(many, POLICY.model_copy(update={"name_clash": "quarantine"}))
    assert [(f.kind, f.path) for f in decided["refuse"]] == [("name_clash", "test/empty")]
    with pytest.raises(AssertionError):
        leave_out(list_category(many), decided["refuse"])


def test_layout_is_refused_whatever_the_policy(many: Path) -> None:
    shutil.rmtree(many / "train/good")
    _, decided, _ = check_and_decide(many, Findings(**dict.fromkeys(Findings.model_fields, "report")))  # type: ignore[arg-type]
    assert [f.path for f in decided["refuse"]] == ["train/good"]
    assert decide([], POLICY)["refuse"] == []


def test_prepare_refuses_a_name_that_no_index_can_hold(many: Path, tmp_path: Path) -> None:
    no_utf8(many)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] = {"root": str(tmp_path), "categories": ["plates"]}
    command = [sys.executable, "-m", "pipelines.prepare", "--category", "plates"]
    for policy, code in (("refuse", 3), ("quarantine", 3), ("report", 0)):
        values["findings"]["unreadable"] = policy
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert r"train/good/\udcff.png: its name is not UTF-8" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    assert len(pd.read_csv(tmp_path / "data/prepared/plates.csv")) == 36


def test_prepare_records_what_it_left_out(many: Path, tmp_path: Path) -> None:
    leak(many)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] = {"root": str(tmp_path), "categories": ["plates"]}
    values["findings"]["leakage"] = "quarantine"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "pipelines.prepare", "--category", "plates"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = pd.read_csv(tmp_path / "data/prepared/plates.csv")
    assert "train/good/leak.png" not in set(index["image_path"])
    assert len(index) == 36
    (row,) = json.loads((tmp_path / "data/prepared/plates.findings.json").read_text())
    assert (row["policy"], row["kind"], row["image"]) == ("quarantine", "leakage", "train/good/leak.png")
    assert "left out" in done.stdout
