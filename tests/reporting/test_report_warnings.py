"""What the report says first: refusals and standings, warnings, categories without a result."""

import json
from pathlib import Path

import pytest

from fastflow.errors import BadData
from pipelines.reporting.decision import read_decision
from tests.reporting.report_kit import METRICS, Parsed, decision_of, page_of, write_bare_result, write_result


def test_the_gates_verdict_is_reported_with_each_rule(page: str) -> None:
    text = Parsed(page).text
    assert text.index("The gate refused 1 model") < text.index("Overview")
    assert "bottle defects: loses crack" in text
    assert "refused : version 3, against version 2" in text
    assert "passed image auroc as good failed defects loses crack" in text
    assert "refused 0.971 +0.020" in text  # the overview: metric, and its change against the champion


STANDINGS = {  # of the page's version, after version 3 was decided on, against version 2
    ("refused", "3"): ("refused", "against version 2 passed"),
    ("refused", "2"): ("champion", "against version 2; the figures here are version 2's passed"),
    ("promoted", "2"): ("replaced", "against version 2; the figures here are version 2's passed"),
    ("forced", "4"): ("not asked", "the figures here are version 4's, which the gate was not asked about"),
}


@pytest.mark.parametrize(("verdict", "version"), STANDINGS)
def test_a_verdict_says_what_it_means_for_the_pages_version(tmp_path: Path, verdict: str, version: str) -> None:
    folder = write_result(tmp_path / "bottle", about={"version": version})
    (folder / "gate.json").write_text(json.dumps(decision_of(verdict)))
    text = Parsed(page_of(folder)).text
    standing, words = STANDINGS[verdict, version]
    assert f"bottle {standing} 0.971" in text
    assert words in text
    assert ("The gate refused" in text) == ((verdict, version) == ("refused", "3"))


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_rollback_is_the_last_word(tmp_path: Path, version: str) -> None:
    folder = write_result(tmp_path / "bottle", about={"version": version})
    rolled = {"verdict": "rolled back", "challenger": "3", "champion": "2", "reason": "", "rules": []}
    (folder / "gate.json").write_text(json.dumps(rolled))
    text = Parsed(page_of(folder)).text
    assert "rolled back : version 2 is champion again, version 3 no longer" in text
    assert f"no longer; the figures here are version {version}'s" in text
    assert ("bottle champion 0.971" if version == "2" else "bottle rolled back 0.971") in text
    assert "not asked" not in text


@pytest.mark.parametrize(
    ("misses", "auroc", "shown"),
    [(4, 0.99, ""), (5, 0.99, "--max-miss 5%"), (9, 0.6, "9 of 9 defective"), (9, 0.6, "pass")],
)
def test_a_threshold_that_lets_most_defects_pass_is_reported_on_top(
    tmp_path: Path, misses: int, auroc: float, shown: str
) -> None:
    folder = write_result(tmp_path / "bottle")
    metrics = {"category": "bottle"} | METRICS | {"misses": misses, "image_auroc": auroc}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    top = Parsed(page_of(folder)).text.partition("Overview")[0]
    assert ("lets most defects pass" in top) == bool(shown)
    assert shown in top
    assert ("--max-miss" in top) == (shown == "--max-miss 5%")


def test_a_threshold_that_was_chosen_on_test_images_is_reported(tmp_path: Path) -> None:
    chosen = {"threshold method": "misses", "threshold guarantee": "none: at most 0 of 9 labelled defects missed"}
    shown = Parsed(page_of(write_result(tmp_path / "bottle", about=chosen))).text
    assert "threshold of bottle was chosen on labelled test images" in shown
    assert "alone; no test image has a say in it" not in shown
    assert "alone; no test image has a say in it" in Parsed(page_of(write_result(tmp_path / "cable"))).text


def test_refused_categories_come_first(tmp_path: Path) -> None:
    folders = [write_result(tmp_path / name) for name in ("one", "two")]
    (folders[0] / "gate.json").write_text(json.dumps(decision_of("promoted")))
    text = Parsed(page_of(*folders)).text
    assert text.rindex("two refused") < text.rindex("one promoted")


def test_images_left_out_are_named(page: str) -> None:
    text = Parsed(page).text
    assert "1 left out, 1 noted left out test/crack/000.png cannot be read noted train/good/001.png seen twice" in text
    assert "... and 7 more" in text
    assert "licence CC BY-NC-SA 4.0" in text


def test_missing_categories_come_first_with_their_reason(tmp_path: Path) -> None:
    text = Parsed(page_of(write_bare_result(tmp_path / "bottle"), missing={"cable": "out of memory"})).text
    assert text.index("cable out of memory") < text.index("Overview")
    assert "cable out of memory" in Parsed(page_of(missing={"cable": "out of memory"})).text


@pytest.mark.parametrize(("weights", "shown"), [("random", True), ("imagenet", False)])
def test_random_weights_are_reported(tmp_path: Path, weights: str, shown: bool) -> None:
    text = Parsed(page_of(write_bare_result(tmp_path / "bottle", about={"weights": weights}))).text
    assert ("weights are random" in text) == shown


def test_a_damaged_decision_is_named_and_an_older_one_read(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text('{"verdict": "refu')
    with pytest.raises(BadData, match=r"gate\.json is damaged .*; remove it"):
        read_decision(tmp_path)
    older = {"verdict": "refused", "rules": [{"name": "floor", "passed": False}, {"name": "aupro", "passed": True}]}
    (tmp_path / "gate.json").write_text(json.dumps(older))
    assert [rule["outcome"] for rule in read_decision(tmp_path)["rules"]] == ["failed", "passed"]
