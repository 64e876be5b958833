"""What the report says of regions: counted by hand, with limits, and silent where an evaluation says nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fastflow.evaluation import JudgedRegions
from fastflow.regions import RegionRule
from pipelines.reporting.pages.report import figures
from pipelines.reporting.pages.result import read_result
from pipelines.reporting.pictures import PREDICTED_COLOUR, triplet
from pipelines.reporting.region_tables import held_out, write_regions
from tests.reporting.report_kit import HOSTILE, Parsed, page_of, write_result

EVERY = RegionRule()
THRESHOLD = {"pixel": 0.625, "pixel_rate": 0.25, "num_normal": 40, "folds": 2}


def judged(*, kinds: tuple[str, str] = ("dent", "hole")) -> JudgedRegions:
    true = pd.DataFrame(
        {
            "image_path": ["a.png", "a.png", "b.png", "c.png"],
            "defect_type": [kinds[0], kinds[0], kinds[1], kinds[1]],
            "area": [5, 20, 30, 3000],
            "found": [False, True, False, True],
        }
    )
    return JudgedRegions(true, [0, 3, 0, 0, 1], false_in_defective=2, without_mask=1)


def write(folder: Path, found: JudgedRegions, rule: RegionRule = EVERY) -> dict[str, float]:
    return write_regions(folder, found, rule=rule, threshold=THRESHOLD)


def test_tables_and_metrics_are_counts(tmp_path: Path) -> None:
    assert write(tmp_path, judged(), RegionRule(4, 0.5)) == {"region_recall": 0.5, "false_regions_per_good_image": 0.8}
    found = json.loads((tmp_path / "regions.json").read_text())
    assert (found["pixel_threshold"], found["pixel_rate"], found["min_area"], found["mm_per_pixel"]) == (
        0.625, 0.25, 4, 0.5,
    )  # fmt: skip
    assert [(row["from"], row["count"], row["total"]) for row in found["by_size"]] == [
        (4, 0, 1), (16, 1, 2), (1024, 1, 1),
    ]  # fmt: skip
    assert [(row["defect_type"], row["count"], row["total"]) for row in found["by_type"]] == [
        ("dent", 1, 2), ("hole", 1, 2),
    ]  # fmt: skip
    limits = stats.binomtest(2, 5).proportion_ci(method="exact")
    assert [found["good"]["low"], found["good"]["high"]] == pytest.approx([limits.low, limits.high])
    assert [one["found"] for one in found["true"]] == [False, True, False, True]


def test_without_true_regions_or_good_pictures_there_is_no_metric(tmp_path: Path) -> None:
    none = JudgedRegions(judged().true.iloc[:0], [], 0, 0)
    assert write(tmp_path, none) == {}
    assert json.loads((tmp_path / "regions.json").read_text())["good"]["per_picture"] is None


def test_the_page_shows_table_curve_and_false_regions(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "bottle")
    write(folder, judged(kinds=("dent", HOSTILE)), RegionRule(4, 0.5))
    text = Parsed(page_of(folder)).text
    assert "all 2 of 4 (50.0 %; 95 %: 6.8 % to 93.2 %)" in text
    assert "16 to 63 pixels, from 4 mm² 1 of 2" in text
    assert f"{HOSTILE} 1 of 2" in text  # as text
    assert "Of 5 good pictures 2 have a region that is false (40.0 %;" in text
    assert "4 in all: 0.8 per picture. 2 more lie beside the defects" in text
    assert "pixel threshold, 0.625, and has 4 pixels or more" in text
    assert "1 defective picture has no mask, and does not count" in text
    assert "2 of 4 true regions are found" in figures(read_result(folder))["regions"].label


def test_results_of_before_have_no_such_part(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "bottle")
    assert "By region" not in Parsed(page_of(folder)).text
    write(folder, JudgedRegions(judged().true.iloc[:0], [0, 1], 0, 0))
    text = Parsed(page_of(folder)).text
    assert "Of 2 good pictures 1 has a region that is false" in text
    assert "true regions" not in text
    assert "regions" not in figures(read_result(folder))


def test_the_rate_per_picture_is_said_and_its_absence_too() -> None:
    assert held_out(THRESHOLD) == (
        "25.0% of 40 good pictures that the scoring model had not seen have a pixel above it"
    )
    assert "that the model was trained on have a pixel above it" in held_out(THRESHOLD | {"folds": 0})
    older = {name: value for name, value in THRESHOLD.items() if name != "pixel_rate"}
    assert held_out(older).endswith("is not recorded: the model was trained before that was")


def test_what_is_predicted_is_outlined_and_nothing_else() -> None:
    image, scores = np.full((256, 256, 3), 90, np.uint8), np.zeros((256, 256), np.float32)
    scores[30:60, 30:60] = scores[200:203, 200:203] = 2
    kept = scores > 1
    kept[200:203] = False
    picture = triplet(image, scores, np.zeros((256, 256), bool), low=0, threshold=1, predicted=kept).contours
    amber = np.abs(np.asarray(picture).astype(int) - PREDICTED_COLOUR).max(axis=2) < 60
    assert amber[:64].any()
    assert not amber[128:].any()
