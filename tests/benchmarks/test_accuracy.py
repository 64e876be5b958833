"""The accuracy benchmark end to end on a tiny category, and its arithmetic."""

import json
import statistics
import sys
from pathlib import Path

import pytest

from benchmarks import accuracy
from tests.conftest import ROOT

SMALL = ("image_size=[64,64]", "flow_steps=2", "layers=[1,2]", "train.epochs=3", "train.min_steps=1")


def test_figures_of_each_seed_are_written_with_mean_and_deviation(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "out.json"
    changes = [word for pair in SMALL for word in ("--set", pair)]
    where = ["--data-root", str(plates.parent), "--category", plates.name, "--weights", "random"]
    monkeypatch.setattr(sys, "argv", ["x", *where, "--seeds", "2", "--every", "1", "--json", str(out), *changes])
    accuracy.main()
    figures = json.loads(out.read_text())
    assert figures["epochs"] == 3
    assert figures["seconds"] > 0
    assert [[point["epoch"] for point in curve] for curve in figures["curves"]] == [[1, 2, 3]] * 2
    for name in ("image_auroc", "pixel_auroc", "aupro"):
        values = figures[name]["per_seed"]
        assert len(values) == 2
        assert all(0 <= value <= 1 for value in values)
        assert figures[name]["mean"] == pytest.approx(statistics.mean(values))
        assert figures[name]["std"] == pytest.approx(statistics.stdev(values))
        assert [curve[-1][name] for curve in figures["curves"]] == values


def test_undefined_metrics_stay_undefined() -> None:
    runs = [
        {"metrics": {"image_auroc": 0.5, "pixel_auroc": None, "aupro": None}, "epochs": 1, "seconds": 1, "curve": []}
    ]
    summary = accuracy.summarise(runs)
    assert summary["aupro"] == {"mean": None, "std": None, "per_seed": [None]}
    assert summary["image_auroc"] == {"mean": 0.5, "std": None, "per_seed": [0.5]}
