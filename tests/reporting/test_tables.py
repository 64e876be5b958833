"""What an evaluation leaves, against counting by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fastflow.evaluation import image_metrics, intervals, pixel_values
from pipelines.reporting.pages.result import read_result
from pipelines.reporting.tables import Evaluated, costs, score_table, tradeoff_table, verdicts, write_tables

KINDS = ["good"] * 4 + ["dent"] * 3 + ["hole"] * 2
SCORES = np.array([0.1, 0.2, 0.3, 0.9, 0.4, 0.8, 0.95, 0.7, 0.2], np.float32)
THRESHOLD = 0.5


def evaluated(**names: str) -> Evaluated:
    """`names`: other ones for `KINDS`."""
    rng = np.random.default_rng(0)
    index = pd.DataFrame(
        {
            "image_path": [f"{i}.png" for i in range(9)],
            "sha256": [f"{i}" * 64 for i in range(9)],
            "defect_type": [names.get(kind, kind) for kind in KINDS],
            "gt_label": [int(kind != "good") for kind in KINDS],
            "mask_path": ["" if kind == "good" else "mask.png" for kind in KINDS],
        }
    )
    masks = [np.zeros((16, 16), bool) for _ in KINDS]
    for i in range(4, 9):
        masks[i][2:6, i : i + 4] = True
    maps = [
        (rng.random((16, 16)) + mask * (0.2 if kind == "hole" else 2)).astype(np.float32)
        for mask, kind in zip(masks, KINDS, strict=True)
    ]
    metrics = image_metrics(index, SCORES) | pixel_values(index, maps, masks)
    scores = score_table(index, SCORES, threshold=THRESHOLD)
    return Evaluated(index, scores, maps, masks, metrics, intervals(index, SCORES, maps, masks))


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a", "\ta", "'a", "a=b", "a'b"])
def test_a_defect_types_name_is_no_formula_of_a_spreadsheet_and_comes_back(tmp_path: Path, name: str) -> None:
    found = evaluated(dent=name)
    tradeoff = tradeoff_table(np.linspace(0, 0.5, 50), found.scores, bounds=(0, 1))
    write_tables(tmp_path, "plates", found, facts={}, threshold={"image": THRESHOLD}, tradeoff=tradeoff)
    for file in ("scores.csv", "defects.csv"):
        with (tmp_path / file).open(newline="") as text:
            written = {row["defect_type"] for row in csv.DictReader(text)} - {"good", "hole"}
        assert written == {name if name.startswith("a") else f"'{name}"}
    result = read_result(tmp_path)
    assert result.scores["defect_type"].tolist() == found.images["defect_type"].tolist()
    assert sorted(result.defects["defect_type"]) == sorted([name, "hole"])


def test_verdicts_are_counted_at_the_threshold() -> None:
    numbers, limits = verdicts(evaluated().scores)
    assert numbers == {"false_rejects": 1, "false_reject_rate": 0.25, "misses": 2, "miss_rate": 0.4}
    low, high = limits["false_reject_rate"]
    assert stats.binom.sf(0, 4, low) == pytest.approx(0.025)
    assert stats.binom.cdf(1, 4, high) == pytest.approx(0.025)


def test_rates_of_no_image_are_undefined_and_not_zero() -> None:
    scores = evaluated().scores.query("gt_label == 0")
    numbers, limits = verdicts(scores)
    assert numbers["miss_rate"] is None
    assert numbers["misses"] == 0
    assert "miss_rate" not in limits


def test_files_hold_every_metric_interval_and_defect_type(tmp_path: Path) -> None:
    found = evaluated()
    tradeoff = tradeoff_table(np.linspace(0, 0.5, 50), found.scores, bounds=(0, 1))
    write_tables(tmp_path, "plates", found, facts={"num_good": 4}, threshold={"image": THRESHOLD}, tradeoff=tradeoff)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    limits = json.loads((tmp_path / "intervals.json").read_text())
    assert metrics["undefined"] == {}
    assert metrics["image_auroc"] == pytest.approx(14.5 / 20)  # pairs of a defective and a good image, counted
    for name in (
        "image_auroc",
        "image_ap",
        "image_f1_max_oracle",
        "pixel_auroc",
        "pixel_ap",
        "pixel_f1_max_oracle",
        "aupro",
        "aupro_005",
        "aupimo",
    ):
        assert limits[name][0] <= metrics[name] <= limits[name][1], name
    assert limits.keys() >= {"false_reject_rate", "miss_rate"}

    defects = pd.read_csv(tmp_path / "defects.csv").set_index("defect_type")
    assert defects["images"].to_dict() == {"dent": 3, "hole": 2}
    assert defects["miss_count"].to_dict() == {"dent": 1, "hole": 1}
    assert defects.loc["dent", "image_auroc"] == pytest.approx(10 / 12)
    assert defects.loc["hole", "image_auroc"] == pytest.approx((3 + 1.5) / 8)  # 0.2 ties once
    assert defects["pixel_auroc"].idxmax() == "dent"
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["pred_label"].tolist() == [0, 0, 0, 1, 0, 1, 1, 1, 0]
    for curve in ("roc", "pr", "pro"):
        assert len(pd.read_csv(tmp_path / f"{curve}.csv")) > 2


@pytest.mark.parametrize(("label", "rate", "why"), [(0, "miss_rate", "defective"), (1, "false_reject_rate", "good")])
def test_each_null_of_metrics_json_says_why(tmp_path: Path, label: int, rate: str, why: str) -> None:
    whole = evaluated()
    chosen = np.flatnonzero(whole.images["gt_label"] == label)
    index = whole.images.iloc[chosen].reset_index(drop=True)
    maps, masks = [whole.maps[i] for i in chosen], [whole.masks[i] for i in chosen]
    metrics = image_metrics(index, SCORES[chosen]) | pixel_values(index, maps, masks)
    scores = score_table(index, SCORES[chosen], threshold=THRESHOLD)
    found = Evaluated(index, scores, maps, masks, metrics, intervals(index, SCORES[chosen], maps, masks))
    tradeoff = tradeoff_table(np.linspace(0, 0.5, 50), scores, bounds=(0, 1))
    write_tables(tmp_path, "plates", found, facts={}, threshold={"image": THRESHOLD}, tradeoff=tradeoff)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["undefined"][rate] == f"no {why} image"
    assert set(written["undefined"]) == {name for name, value in written.items() if value is None}


def test_trade_off_rejects_fewer_good_and_misses_more_as_the_rate_falls() -> None:
    scores = evaluated().scores
    table = tradeoff_table(np.linspace(0, 1, 1000), scores, bounds=(0, 1))
    assert table["threshold"].is_monotonic_decreasing  # rates ascend
    assert table["threshold"].to_list() == pytest.approx((1 - table["rate"]).to_list(), abs=2e-3)
    row = costs(0.85, scores)
    assert (row["false_reject_count"], row["miss_count"]) == (1, 4)
    assert row["miss_low"] < 0.8 < row["miss_high"]
