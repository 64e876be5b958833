"""Drift's statistics against their definitions, verdicts on samples whose change is known, and the page of one."""

import numpy as np
import pandas as pd
import pytest

from pipelines.monitoring.drift_page import render
from pipelines.monitoring.drift_rules import judge, shift, spread, stability_index

THRESHOLD = 2.5  # of standard normal scores: 0.6 % lie above
Change = dict[str, float]


def sample(count: int, seed: int, **change: float) -> pd.DataFrame:
    """Good images whose figures are independent and normal; changed by what `change` adds to a column's mean."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "pred_score": rng.normal(size=count),
            "brightness": 100 + 5 * rng.normal(size=count),
            "contrast": 30 + 2 * rng.normal(size=count),
            "sharpness": np.exp(rng.normal(size=count) / 4),
            "width": 900,
            "height": 900,
        }
    )
    return table.assign(**{name: table[name] + value for name, value in change.items()})


def with_defects(count: int, seed: int, share: float) -> pd.DataFrame:
    """As many of them defective: a high score, and a look that is a little darker."""
    table = sample(count, seed)
    defective = np.random.default_rng(seed + 1).permutation(count) < share * count
    return table.assign(pred_score=table["pred_score"] + 6 * defective, brightness=table["brightness"] - 4 * defective)


def kind(recent: pd.DataFrame, *, usual_rejects: float = 0.05, least: int = 50, reference: int = 209) -> str:
    then = sample(reference, seed=999)
    return judge(recent, then, threshold=THRESHOLD, usual_rejects=usual_rejects, least=least).kind


@pytest.mark.parametrize("count", [60, 200, 1000])
def test_good_images_alarm_less_than_once_in_a_hundred_times(count: int) -> None:
    alarms = sum(kind(sample(count, seed), reference=300) != "same" for seed in range(200))
    assert alarms <= 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"brightness": 10.0}, "camera"),
        ({"contrast": -6.0}, "camera"),
        ({"sharpness": -0.8}, "camera"),
        ({"width": 100.0}, "camera"),
        ({"brightness": 10.0, "pred_score": 3.0}, "camera"),  # bad light is no defect, though it scores like one
        ({"pred_score": 2.0}, "scores"),
        ({"pred_score": -2.0}, "scores"),
    ],
    ids=str,
)
def test_a_strong_change_is_found_and_called_by_its_name(change: Change, expected: str) -> None:
    assert [kind(sample(100, seed, **change)) for seed in range(20)] == [expected] * 20


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_more_defects_are_reported_from_a_new_camera(share: float) -> None:
    assert [kind(with_defects(200, seed, share)) for seed in range(20)] == ["defects"] * 20


def test_usual_rejects_are_no_alarm() -> None:
    assert [kind(with_defects(200, seed, 0.05)) for seed in range(20)] == ["same"] * 20
    assert kind(with_defects(200, 0, 0.2), usual_rejects=0.2) == "same"


def test_few_images_say_nothing_whatever_they_are() -> None:
    assert kind(sample(49, 0, brightness=100.0)) == "too_few"
    assert kind(sample(0, 0)) == "too_few"
    assert kind(sample(49, 0, brightness=100.0), least=40) == "camera"


def test_a_figure_that_never_varied_still_has_a_spread() -> None:
    assert spread(np.full(9, 4.0)) > 0
    assert kind(sample(100, 1).assign(contrast=30.0), reference=50) in ("same", "camera")


def test_stability_index_is_the_sum_over_deciles() -> None:
    rng = np.random.default_rng(0)
    then, now = rng.normal(size=1000), rng.normal(0.5, 1.3, size=400)
    edges = [-np.inf, *np.quantile(then, np.arange(1, 10) / 10), np.inf]
    p, q = ((np.histogram(values, edges)[0] + 0.5) / (len(values) + 5) for values in (now, then))
    assert stability_index(now, then) == pytest.approx(sum((p - q) * np.log(p / q)))
    assert stability_index(then, then) == 0


def test_distance_is_that_of_the_distribution_functions() -> None:
    now, then = sample(80, 1, brightness=3.0), sample(120, 2)
    grid = np.sort(np.concatenate([now["brightness"], then["brightness"]]))
    functions = [np.searchsorted(np.sort(t["brightness"]), grid, side="right") / len(t) for t in (now, then)]
    assert shift("brightness", now, then).ks == pytest.approx(np.abs(functions[0] - functions[1]).max())


def test_page_says_what_changed_and_holds_hostile_names_as_text() -> None:
    recent, then = sample(100, 1, brightness=20.0), sample(200, 2)
    verdict = judge(recent, then, threshold=THRESHOLD, usual_rejects=0.05, least=50)
    text = render("<b>x</b>", verdict, recent, then, threshold=THRESHOLD, about={"from": "<i>y</i>"})
    assert "<b>x</b>" not in text
    assert "<i>y</i>" not in text
    assert "The photographs changed" in text
    assert "brightness rose" in text
    empty = judge(recent[:0], then, threshold=THRESHOLD, usual_rejects=0.05, least=50)
    assert "Too few images to tell" in render("x", empty, recent[:0], then, threshold=THRESHOLD, about={})
