"""What the report says of figures, cases and thresholds, counted independently, and what it does not know."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score

from pipelines.reporting.choice import choose_cases
from pipelines.reporting.pages.page import change, fraction, number, percent
from tests.reporting.report_kit import (
    METRICS,
    THRESHOLD,
    TYPES,
    Parsed,
    page_of,
    scores_of,
    tradeoff,
    write_bare_result,
    write_result,
)


def test_undefined_metric_is_a_dash_with_its_reason(page: str) -> None:
    text = Parsed(page).text
    assert "AUPRO \u2013 a defective image without mask" in text
    assert "no AUPRO: a defective image without mask" in text
    assert "0.971" in text


def test_mean_is_over_the_categories_that_have_the_metric(tmp_path: Path) -> None:
    values = {"one": (0.5, 0.25), "two": (0.75, 0.5), "three": (1.0, None)}
    folders = [write_bare_result(tmp_path / n, image_auroc=a, aupro=p) for n, (a, p) in values.items()]
    assert "mean 0.750 0.960 0.375 of 2" in Parsed(page_of(*folders)).text


def test_types_are_reported_from_good_by_auroc(page: str) -> None:
    scores = scores_of(TYPES)
    text = Parsed(page).text
    for name in TYPES:
        rows = scores[scores["defect_type"].isin(["good", name])]
        expected = roc_auc_score(rows["gt_label"], rows["pred_score"])
        own = rows.loc[rows["gt_label"] == 1, "pred_score"]
        missed = (own <= THRESHOLD).sum()
        assert re.search(rf"{name} 3 {missed} {expected:.3f} \u2013 \u2013 \S+ {own.median():.4g} ", text)


def test_place_of_a_case_is_counted(page: str) -> None:
    scores = scores_of(TYPES)
    good = scores.loc[scores["gt_label"] == 0, "pred_score"]
    bad = scores.loc[scores["gt_label"] == 1, "pred_score"]
    text = Parsed(page).text
    shown = {row for name, rows in choose_cases(scores, threshold=THRESHOLD).items() if name != "good" for row in rows}
    for name in TYPES:
        ranked = scores[scores["defect_type"] == name].sort_values("pred_score")
        for place, (number_, row) in zip(("lowest", "rank 2", "highest"), ranked.iterrows(), strict=True):
            score, path = row["pred_score"], row["image_path"]
            end = f"{place} of 3 {path} · {(good >= score).sum()} of 6 good images score as high"
            assert (f"{name} {score:.4g} {end}" in text) == (number_ in shown)
    worst = f"{good.max():.4g} highest of 6"
    assert worst in text
    confused = f"{(bad <= good.max()).sum()} of 9 defective images score as low"
    assert confused in text.partition(worst)[2][:120]


def test_equal_scores_count_as_confused(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "bottle", names=("dent",))
    pd.read_csv(folder / "scores.csv").assign(pred_score=0.5).to_csv(folder / "scores.csv", index=False)
    text = Parsed(page_of(folder)).text
    assert text.count("6 of 6 good images score as high") == 3
    groups = choose_cases(scores_of(("dent",)), threshold=THRESHOLD)
    good = [row for name, rows in groups.items() if name != "good" for row in rows if row < 6]  # the first six are good
    assert text.count("3 of 3 defective images score as low") == len(good) > 0


def test_what_another_threshold_would_do_has_its_limits(page: str) -> None:
    assert (
        "2.0 % 1.25 1 of 1 (100.0 %; 95 %: 100.0 % to 100.0 %) 2 of 8 (25.0 %; 95 %: 3.2 % to 65.1 %)"
        in Parsed(page).text
    )


def test_rates_that_share_a_threshold_are_explained(tmp_path: Path, page: str) -> None:
    assert "where two rates share a threshold" not in Parsed(page).text
    folder = write_result(tmp_path / "bottle")
    pd.concat([tradeoff(), tradeoff().assign(rate=0.05)]).to_csv(folder / "tradeoff.csv", index=False)
    assert "where two rates share a threshold, there are too few" in Parsed(page_of(folder)).text


def test_the_threshold_in_use_stands_among_the_others(tmp_path: Path) -> None:
    """Marked where it is one of them; else in a row of its own, with the limits of the evaluation."""
    folder = write_result(tmp_path / "bottle", threshold=1.25)
    assert "2.0 % in use 1.25" in Parsed(page_of(folder)).text
    folder = write_result(tmp_path / "cable", false_rejects=3, misses=1)
    (folder / "intervals.json").write_text(json.dumps({"false_reject_rate": [0.12, 0.88], "miss_rate": [0.003, 0.48]}))
    wanted = (
        "the one in use 1 3 of 6 (50.0 %; 95 %: 12.0 % to 88.0 %) 1 of 9 (11.1 %; 95 %: 0.3 % to 48.0 %) 2.0 % 1.25"
    )
    assert wanted in Parsed(page_of(folder)).text


def test_a_reason_is_reported_once_for_all_metrics_that_it_concerns(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "bottle")
    why = dict.fromkeys(("pixel_auroc", "pixel_ap", "aupro", "aupro_005"), "no masks")
    (folder / "metrics.json").write_text(json.dumps({"category": "bottle"} | METRICS | {"undefined": why}))
    overview = Parsed(page_of(folder)).text.partition("Fractions, 1 is perfect")[0]
    assert overview.count("no masks") == 1
    assert "bottle: no pixel AUROC, AUPRO: no masks" in overview


def test_metrics_and_verdicts_show_their_95_percent_limits(tmp_path: Path) -> None:
    counts: dict[str, Any] = {"false_rejects": 2, "false_reject_rate": 0.1, "misses": 0, "miss_rate": None}
    folder = write_bare_result(tmp_path / "bottle", **counts)
    limits = {"image_auroc": [0.91, 0.9996], "false_reject_rate": [0.0123, 0.317]}
    (folder / "intervals.json").write_text(json.dumps(limits))
    text = Parsed(page_of(folder)).text
    assert "95 %: 0.910 to >0.999" in text
    assert "good parts rejected 2 = 10.0 % at the threshold; 95 %: 1.2 % to 31.7 %" in text
    assert "defective parts missed" not in text.partition("test images")[0].partition("image AUROC 0.971")[2]


def test_figures_unknown_today_are_shown(tmp_path: Path) -> None:
    assert "pixel f1 0.1234" in Parsed(page_of(write_bare_result(tmp_path / "bottle", pixel_f1=0.12341))).text


def test_nothing_undefined_or_imperfect_looks_perfect() -> None:
    assert [fraction(v) for v in (1.0, 0.99996, 0.9994, 0.0, None, float("nan"))] == [
        "1.000",
        ">0.999",
        "0.999",
        "0.000",
        "\u2013",
        "\u2013",
    ]
    assert [percent(v) for v in (0.1234, None)] == ["12.3 %", "\u2013"]
    assert [change(v) for v in (0.02, -0.5, 0.0001, None)] == ["+0.020", "\u22120.500", "±0.000", "\u2013"]
    assert [number(v) for v in (12345, 41.3, 0.00012345, None)] == ["12,345", "41.3", "0.0001234", "\u2013"]
