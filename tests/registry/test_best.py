"""The best figures of champions on one set of images, and where every category stands."""

import json
from pathlib import Path

import pytest

from pipelines.registry.best import Best, read_best, write_best
from pipelines.registry.standing import Standing, Version, standings
from tests.registry.memory import Registry

NAME = "fastflow-plates"


@pytest.fixture
def registry(folder: Path) -> Registry:
    """Four versions of plates."""
    made = Registry()
    made.add(NAME, 4)
    return made


def test_a_version_that_is_better_in_one_figure_holds_that_one() -> None:
    best = Best("x", {}).with_champion("1", {"image_auroc": 0.9, "aupro": 0.8})
    assert best == Best("x", {"image_auroc": ("1", 0.9), "aupro": ("1", 0.8)})
    later = best.with_champion("2", {"image_auroc": 0.89, "aupro": 0.81, "defects": 7.0})
    assert later == Best("x", {"image_auroc": ("1", 0.9), "aupro": ("2", 0.81), "defects": ("2", 7.0)})
    assert later.with_champion("3", {"image_auroc": 0.9, "aupro": 0.81}).of == later.of, "of equals the earlier stays"


def test_only_what_is_above_is_worth_a_comparison() -> None:
    best = Best("x", {"image_auroc": ("1", 0.9), "aupro": ("2", 0.8), "defects": ("1", -1.0)})
    assert best.versions() == {"1": {"image_auroc", "defects"}, "2": {"aupro"}}
    assert best.versions(above={"image_auroc": 0.9, "aupro": 0.79}) == {"1": {"defects"}, "2": {"aupro"}}
    assert best.versions(above={"image_auroc": 0.95, "aupro": 0.8, "defects": 0.0}) == {}


def test_the_best_comes_back_as_it_was_kept(registry: Registry) -> None:
    kept = Best("x", {"image_auroc": ("1", 0.9), "aupro": ("2", 0.8)})
    write_best(registry.client, "plates", kept)
    assert read_best(registry.client, "plates") == kept
    assert read_best(registry.client, "plates", "x") == kept
    assert read_best(registry.client, "plates", "other images") == Best("other images", {})
    ((_, tag, text),) = registry.changes
    assert (tag, json.loads(text)["of"]["aupro"]) == ("best", ["2", 0.8])


@pytest.mark.parametrize(
    "text", ["", "by hand", "[]", "3", "{}", '{"of": {}}', '{"images": "x"}', '{"images": "x", "of": {"aupro": ["1"]}}',
             '{"images": "x", "of": {"aupro": ["1", "high"]}}', '{"images": "x", "of": {"aupro": null}}'],
)  # fmt: skip
def test_a_tag_that_was_changed_by_hand_holds_nobody(registry: Registry, text: str) -> None:
    registry.models[NAME].tags["best"] = text
    assert read_best(registry.client, "plates") == Best("", {})
    assert read_best(registry.client, "plates", "x") == Best("x", {})


def test_a_version_that_was_withdrawn_or_deleted_counts_no_longer(registry: Registry) -> None:
    write_best(
        registry.client, "plates", Best("x", {"image_auroc": ("1", 0.9), "aupro": ("2", 0.8), "defects": ("3", 5.0)})
    )
    registry.models[NAME].versions["1"].tags["gate"] = "rolled back: promoted"
    registry.models[NAME].versions["2"].tags["gate"] = "promoted"
    del registry.models[NAME].versions["3"]
    assert read_best(registry.client, "plates", "x") == Best("x", {"aupro": ("2", 0.8)})


def test_every_category_stands_where_its_aliases_point(registry: Registry) -> None:
    for category, count in (("gears", 1), ("bolts", 2), ("none", 0)):
        registry.add(f"fastflow-{category}", count)
    registry.add("someone-elses", 2)
    registry.models["someone-elses"].aliases["champion"] = "1"
    registry.models[NAME].aliases |= {"champion": "2", "previous": "1", "challenger": "4"}
    registry.models[NAME].versions["2"].tags["gate"] = "promoted"
    registry.models["fastflow-bolts"].aliases["challenger"] = "2"
    registry.models["fastflow-bolts"].versions["2"].run_id = None
    assert standings(registry.client) == {
        "plates": Standing(Version("2", 2.0, "run2", {"gate": "promoted"}), Version("4", 4.0, "run4", {})),
        "gears": Standing(None, None),
        "bolts": Standing(None, Version("2", 2.0, "", {})),
        "none": Standing(None, None),
    }
