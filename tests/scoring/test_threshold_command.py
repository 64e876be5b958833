"""Changing a threshold after training: by a rate of good parts, or by misses; weights untouched."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.files import file_sha256
from fastflow.model import FastFlow
from fastflow.sealed import read_config, weights_id
from fastflow.threshold import threshold_for
from pipelines.core.stage import BAD_DATA, FAILED, USAGE
from pipelines.scoring import threshold
from tests.conftest import fastflow
from tests.stages import write_tiny_params

NORMAL = np.linspace(0.1, 0.4, 120)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: FastFlow) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiny_params(tmp_path)
    folder = tmp_path / "models/plates"
    old = {"image": 0.9, "pixel": 0.7, "low": 0.1, "false_reject_rate": 0.01, "method": "rank", "folds": 2}
    scores_of_good = json.dumps({"pred_score": NORMAL.tolist()}).encode()
    files = {"normal_scores.json": scores_of_good}
    save_checkpoint(tiny_model, folder, files=files, category="plates", threshold=old)
    (tmp_path / "reports/plates").mkdir(parents=True)
    scores = [0.2, 0.35, 0.38, 0.3, 0.5, 0.6, 0.7]
    known = {"sha256": list("0123456"), "model": weights_id(read_config(folder))}
    pd.DataFrame({"gt_label": [0, 0, 0, 1, 1, 1, 1], "pred_score": scores} | known).to_csv(
        tmp_path / "reports/plates/scores.csv"
    )
    return folder


def ask(*arguments: str) -> int:
    return fastflow("threshold", "plates", *arguments)


def written(model: Path) -> dict[str, object]:
    return dict(json.loads((model / "config.json").read_text())["threshold"])


def test_without_a_limit_it_shows_and_changes_nothing(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (model / "config.json").read_bytes()
    assert ask() == 0
    said = capsys.readouterr().out
    assert "plates, threshold 0.9\n" in said
    for rate in ("0.5 %", "1 %", "2 %", "5 %"):
        assert rate in said
    assert "1 of 4  (0.6 % to 80.6 %)" in said  # Clopper and Pearson's limits of 1 in 4
    assert ask("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["threshold"]["image"] == 0.9
    assert [row["rate"] for row in found["tradeoff"]] == [0.005, 0.01, 0.02, 0.05]
    assert (model / "config.json").read_bytes() == before


def test_it_says_how_long_it_holds_and_last_what_comes_next(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert ask() == 0
    assert not caplog.messages
    assert ask("--max-false-reject", "2%") == 0
    assert caplog.messages[-2:] == [
        "a later training starts again from params.yaml, threshold.false_reject_rate (a change of it trains anew)",
        "next: fastflow report (evaluates, trains nothing), then fastflow promote plates",
    ]


def test_the_row_in_use_is_marked_and_equal_thresholds_are_explained(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("--max-false-reject", "2%") == 0
    said = capsys.readouterr().out
    assert f"plates, threshold {threshold_for(NORMAL, false_reject_rate=0.02).value:.6g}, 0.9 before\n" in said
    assert said.count("in use: ") == said.count("in use: 2 %") == 1
    assert "equal thresholds" not in said
    monkeypatch.setattr(threshold, "normal_scores", lambda _: NORMAL[:20])
    assert ask("--max-false-reject", "5%") == 0  # the highest of 20, for 4.9 % too
    assert ask("--max-false-reject", "4.9%") == 0
    said = capsys.readouterr().out
    assert "equal thresholds: 20 good training images do not tell those rates apart" in said


def test_a_pipe_that_closes_early_does_not_undo_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with suppress(BrokenPipeError), os.fdopen(os.dup(writing), "w", buffering=1) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert ask("--max-false-reject", "3%") != 0
        monkeypatch.undo()
    os.close(writing)
    found = json.loads((model / "config.json").read_text())["threshold"]["image"]
    assert found == threshold_for(NORMAL, false_reject_rate=0.03).value


def test_a_rate_of_good_parts_sets_the_threshold_and_leaves_the_weights(model: Path) -> None:
    weights = {file: file_sha256(model / file) for file in ("flow.safetensors", "backbone.safetensors")}
    assert ask("--max-false-reject", "3%") == 0
    found = written(model)
    assert found["image"] == threshold_for(NORMAL, false_reject_rate=0.03).value
    assert found["pixel"] == 0.7
    assert str(found["guarantee"]).startswith("approximate")
    assert weights == {file: file_sha256(model / file) for file in weights}
    load_checkpoint(model)


def test_a_limit_on_misses_finds_as_many_labelled_defects_as_asked(model: Path) -> None:
    assert ask("--max-miss", "25%") == 0
    found = written(model)
    assert 0.3 < float(str(found["image"])) < 0.5  # misses the one at 0.3, finds the one at 0.5
    assert "at most 1 of 4 labelled defective test images" in str(found["guarantee"])
    assert ask("--max-miss", "0.1") == 0
    found = written(model)
    assert float(str(found["image"])) < 0.3
    assert found["false_reject_rate"] == pytest.approx((NORMAL > 0.3).mean())


@pytest.mark.parametrize("lower", [0.1, float(np.nextafter(np.float32(0.32092559337615967), np.float32(0)))])
def test_the_defect_that_sets_the_threshold_is_above_it_in_either_precision(lower: float) -> None:
    score = 0.32092559337615967  # a float32, as models give it
    table = pd.DataFrame({"gt_label": [0, 1, 1], "pred_score": [lower, score, 0.5]})
    found = threshold.threshold_for_misses(table, np.array([0.05, lower]), 0.05)["image"]
    assert score > found
    assert np.float32(score) > np.float32(found)
    assert float(np.float32(found)) == found
    assert found >= lower


@pytest.mark.parametrize("limit", ["0%", "100%", "2", "many"])
def test_what_is_no_rate_is_refused(model: Path, limit: str) -> None:
    assert ask("--max-false-reject", limit) == USAGE


def test_misses_need_labelled_defects_and_everything_needs_a_model(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("reports/plates/scores.csv").unlink()
    assert ask("--max-miss", "5%") == USAGE
    assert "labelled defective test images" in capfd.readouterr().err
    (model / "config.json").unlink()
    assert ask() == BAD_DATA
    assert "train the category first" in capfd.readouterr().err


def test_nothing_changes_while_a_stage_reads_the_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (model / "config.json").read_bytes()
    Path(".dvc/tmp").mkdir(parents=True)
    evaluating = {"read": {str(model): [{"pid": os.getpid(), "cmd": "dvc repro evaluate@plates"}]}, "write": {}}
    Path(".dvc/tmp/rwlock").write_text(json.dumps(evaluating))
    assert ask("--max-false-reject", "2%") == FAILED
    assert f"plates is being worked on by process {os.getpid()}; try again" in capsys.readouterr().err
    assert (model / "config.json").read_bytes() == before
    assert ask() == 0
