"""The accuracy benchmark end to end on a tiny category, and its arithmetic."""

import json
import statistics
import sys
from pathlib import Path

import pytest

from benchmarks import accuracy
from benchmarks.accuracy_table import table
from benchmarks.published import MVTEC
from tests.conftest import ROOT, write_plates

SMALL = ("image_size=[64,64]", "flow_steps=2", "layers=[1,2]", "train.epochs=3", "train.min_steps=1")


def test_figures_of_each_seed_are_written_with_mean_and_deviation(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    out, page = tmp_path / "out.json", tmp_path / "out.md"
    write_plates(tmp_path / "other/lids")
    changes = [word for pair in SMALL for word in ("--set", pair)]
    where = ["--data-root", str(plates.parent), str(tmp_path / "other"), "--category", plates.name, "lids"]
    asked = ["--weights", "random", "--seeds", "2", "--every", "1", "--json", str(out), "--markdown", str(page)]
    monkeypatch.setattr(sys, "argv", ["x", *where, *asked, *changes])
    accuracy.main()
    written = json.loads(out.read_text())
    assert list(written["categories"]) == [plates.name, "lids"]
    rows = page.read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == [f"| `{plates.name}`", "| `lids`", "| mean"]
    figures = written["categories"][plates.name]
    mean, std = figures["aupro"]["mean"], figures["aupro"]["std"]
    assert rows[2].split(" | ")[3] == f"{mean:.3f} ± {std:.3f}"
    both = [one["aupro"]["mean"] for one in written["categories"].values()]
    assert rows[4].split(" | ")[3] == f"{statistics.mean(both):.3f}"
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
    chosen = {"noise": (0.1,), "mirrored": ()}
    runs = [
        {
            "metrics": {"image_auroc": 0.5, "pixel_auroc": None, "aupro": None},
            **chosen,
            "epochs": 1,
            "seconds": 1,
            "curve": [],
        }
    ]
    summary = accuracy.summarise(runs)
    assert summary["aupro"] == {"mean": None, "std": None, "per_seed": [None]}
    assert summary["image_auroc"] == {"mean": 0.5, "std": None, "per_seed": [0.5]}


def test_categories_are_found_by_name_or_all_and_never_guessed(plates: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_plates(other / "lids")
    assert accuracy.find_categories([plates.parent, other], []) == {"lids": other / "lids", plates.name: plates}
    with pytest.raises(ValueError, match="screw is there 0 times"):
        accuracy.find_categories([plates.parent], ["screw"])
    write_plates(other / plates.name)
    with pytest.raises(ValueError, match="2 times"):
        accuracy.find_categories([plates.parent, other], [])
    with pytest.raises(ValueError, match="no category"):
        accuracy.find_categories([tmp_path / "empty"], [])


def test_the_papers_figures_stand_beside_ours_and_have_its_means() -> None:
    assert statistics.mean(one.image_auroc for one in MVTEC.values()) == pytest.approx(0.994, abs=5e-4)
    assert statistics.mean(one.pixel_auroc for one in MVTEC.values()) == pytest.approx(0.985, abs=5e-4)
    known = {"mean": 0.5, "std": None}
    ours = {"image_auroc": known, "pixel_auroc": known, "aupro": {"mean": None, "std": None}, "seconds": 2.0}
    rows = table({"screw": ours, "bracket": ours}, paper=True).splitlines()
    assert rows[2] == "| `screw` | 0.500 | 0.500 | undefined | 2 | 0.978 | 0.994 |"
    assert rows[3] == "| `bracket` | 0.500 | 0.500 | undefined | 2 |  |  |"
    assert rows[4] == "| mean | 0.500 | 0.500 | undefined | 2 | 0.978 | 0.994 |"
