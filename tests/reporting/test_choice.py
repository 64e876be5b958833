"""Which images a report shows: held to the definition of each group, on scores whose order is known."""

import numpy as np
import pandas as pd
import pytest

from pipelines.reporting.choice import GOOD_SHOWN, GROUP_SIZE, SHOWN_PER_TYPE, choose_cases


def scores_of(*, seed: int = 0) -> pd.DataFrame:
    """20 good images and 12 defective ones of three types, all with different scores, in any order."""
    rng = np.random.default_rng(seed)
    types = np.repeat(["good", "crack", "dent", "hole"], [20, 9, 2, 1])
    scores = rng.permutation(len(types)).astype(float)
    labels = (types != "good").astype(int)
    table = pd.DataFrame({"defect_type": types, "gt_label": labels, "pred_score": scores})
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


@pytest.mark.parametrize("seed", range(5))
def test_wrong_verdicts_come_worst_first(seed: int) -> None:
    scores, threshold = scores_of(seed=seed), 15.5
    chosen = choose_cases(scores, threshold=threshold)
    missed = scores[(scores["gt_label"] == 1) & (scores["pred_score"] <= threshold)].sort_values("pred_score")
    assert chosen["misses"] == missed.index[:GROUP_SIZE].tolist()
    rejected = scores[(scores["gt_label"] == 0) & (scores["pred_score"] > threshold)].sort_values("pred_score")
    assert chosen["false_rejects"] == rejected.index[::-1][:GROUP_SIZE].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_borderline_are_the_closest_of_those_not_shown_yet(seed: int) -> None:
    scores, threshold = scores_of(seed=seed), 15.5
    chosen = choose_cases(scores, threshold=threshold)
    left = scores.drop([*chosen["misses"], *chosen["false_rejects"]])
    distance = (left["pred_score"] - threshold).abs()
    assert len(chosen["borderline"]) == GROUP_SIZE
    assert distance[chosen["borderline"]].max() <= distance.drop(chosen["borderline"]).min()


def test_each_defect_type_is_shown_from_lowest_to_highest() -> None:
    chosen = choose_cases(scores_of(), threshold=-100.0)  # all flagged: borderline are the lowest scores
    rows = scores_of().drop(chosen["borderline"] + chosen["false_rejects"])
    for kind, own in rows[rows["gt_label"] == 1].groupby("defect_type"):
        shown = [scores_of()["pred_score"][row] for row in chosen["defect_types"] if row in own.index]
        ordered = own["pred_score"].sort_values()
        assert len(shown) == min(SHOWN_PER_TYPE, len(own)), kind
        assert (shown[0], shown[-1]) == (ordered.iloc[0], ordered.iloc[-1])
        assert shown == sorted(shown)


def test_no_image_is_shown_twice_but_for_the_random_good_ones() -> None:
    chosen = choose_cases(scores_of(), threshold=15.5)
    once = [row for name, rows in chosen.items() if name != "good" for row in rows]
    assert len(set(once)) == len(once)
    assert len(chosen["good"]) == GOOD_SHOWN
    assert chosen == choose_cases(scores_of(), threshold=15.5)


def test_random_good_images_are_not_picked_by_score() -> None:
    many = pd.DataFrame({"defect_type": "good", "gt_label": 0, "pred_score": np.arange(1000.0)})
    drawn = np.array(choose_cases(many, threshold=2000.0)["good"])
    assert np.ptp(drawn) > 300
    assert 150 < drawn.mean() < 850  # 3.4 standard errors about the middle


def test_choice_takes_what_there_is() -> None:
    few = pd.DataFrame({"defect_type": ["good", "dent"], "gt_label": [0, 1], "pred_score": [1.0, 2.0]})
    assert choose_cases(few, threshold=1.5) == {
        "misses": [],
        "false_rejects": [],
        "borderline": [0, 1],
        "defect_types": [],
        "good": [0],
    }
    assert not any(choose_cases(few.iloc[:0], threshold=1.5).values())
