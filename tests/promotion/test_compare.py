"""Two models side by side: figures against those of their own evaluations, flipped verdicts against the two tables."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.data import read_pictures
from fastflow.model import FastFlow
from fastflow.roi import roi_of
from pipelines import prepare
from pipelines.core.params import read_params
from pipelines.promotion import compare
from pipelines.promotion.comparison_page import Compared, Side, render, row, way
from pipelines.reporting.pages.page import NONE, change
from tests.conftest import fastflow, shake, tiny_config, write_plates
from tests.stages import write_tiny_params


@pytest.fixture
def plates(folder: Path) -> Path:
    """A category whose two models, `models/plates` and `models/before`, have other weights and thresholds."""
    write_tiny_params(folder)
    plates = write_plates(folder / read_params().data.root / "plates")
    prepare.prepare("plates", read_params())
    for name, scale in (("plates", 0.02), ("before", 0.1)):
        torch.manual_seed(len(name))
        model = FastFlow(tiny_config())
        shake(model.flows, scale=scale)
        threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
        save_checkpoint(model, folder / "models" / name, category="plates", threshold=threshold)
    return plates


def own_scores(name: str, paths: list[Path]) -> NDArray[np.float32]:
    model = load_checkpoint(Path("models") / name)
    with torch.no_grad():
        return np.asarray(model(read_pictures(paths, model.frame).images).pred_score)


def test_figures_are_those_of_each_model_and_flips_those_of_both(plates: Path) -> None:
    index = pd.read_csv("data/prepared/plates.csv", keep_default_na=False).query("split == 'test'")
    paths = [plates / path for path in index["image_path"]]
    first, second = own_scores("before", paths), own_scores("plates", paths)
    thresholds = {"before": float(np.quantile(first, 0.3)), "plates": float(np.quantile(second, 0.7))}
    for name, value in thresholds.items():
        model = load_checkpoint(Path("models") / name)
        threshold = {"image": value, "pixel": 0.6, "low": 0.1}
        save_checkpoint(model, Path("models") / name, category="plates", threshold=threshold)
    found = compare.compare("plates", read_params(), "models/before", "{category}")
    assert found.first.metrics["image_auroc"] == pytest.approx(roc_auc_score(index["gt_label"], first))
    assert found.second.metrics["image_auroc"] == pytest.approx(roc_auc_score(index["gt_label"], second))
    labels = first > thresholds["before"], second > thresholds["plates"]
    flips = index["image_path"][labels[0] != labels[1]]
    assert found.num_flipped == len(flips) > 0
    assert [image.image_path for image in found.flipped] == flips.tolist()
    for image in found.flipped:
        place = index["image_path"].tolist().index(image.image_path)
        assert image.scores == pytest.approx((first[place], second[place]), rel=1e-5)
        assert image.labels == (int(labels[0][place]), int(labels[1][place]))
    text = render([found], about={})
    assert len(re.findall(r"the (?:first|second) is right", text)) == len(flips)


def test_a_model_beside_itself_has_changed_in_nothing(plates: Path) -> None:
    found = compare.compare("plates", read_params(), "plates", "plates")
    assert found.num_flipped == 0
    assert found.difference is not None
    assert found.difference[0] == 0
    assert "Both judge every test image alike" in render([found], about={})
    assert "the same model twice" in render([found], about={})
    assert "the same model twice" in compare.table_of([found])
    other = compare.compare("plates", read_params(), "models/before", "plates")
    assert "the same model twice" not in render([other], about={}) + compare.table_of([other])
    assert all("+0.0000" in line for line in compare.table_of([found]).splitlines()[2:5])


@pytest.mark.parametrize("models", [("models/before", "nosuch"), ("nosuch", "{category}")])
def test_a_model_that_is_not_there_is_named_before_anything_is_scored(
    plates: Path, models: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "score_images", None)
    with pytest.raises(ValueError, match=r"no model 'nosuch' in .*models, which has before, plates"):
        compare.write_comparison(models, read_params(), categories=["plates"])


def test_categories_alone_are_compared_with_their_champions(
    plates: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(compare, "compare", lambda category, _, first, second: asked.append((category, first, second)))
    monkeypatch.setattr(compare, "render", lambda *_, **__: "")
    monkeypatch.setattr(compare, "table_of", lambda _: "")
    champion, trained = "models:/fastflow-{category}@champion", "{category}"
    for words, wanted in {
        (): ("plates", champion, trained),
        ("plates",): ("plates", champion, trained),
        ("models/before",): ("plates", "models/before", trained),
        ("models/before", "plates", "--category", "plates"): ("plates", "models/before", "plates"),
    }.items():
        assert fastflow("compare", *words) == 0
        assert asked.pop() == wanted
        assert not asked
    assert fastflow("compare", "a", "b", "c") == 2
    assert capfd.readouterr().err == "error: two models are compared, got 3: a, b, c\n"


def test_better_is_higher_or_lower_by_what_it_is() -> None:
    assert row("image_auroc", 0.9, 0.95)["way"] == row("miss_rate", 0.2, 0.1)["way"] == "better"
    assert row("image_auroc", 0.9, 0.9001)["way"] == row("aupro", None, 0.9)["way"] == ""
    assert row("milliseconds_per_image", 40.0, 41.0)["way"] == ""
    assert row("milliseconds_per_image", 40.0, 50.0)["way"] == way(-1, 1) == "worse"


def test_a_change_has_a_minus_sign_and_its_digits() -> None:
    assert (change(-8.41, 1), change(8.41, 1), change(-0.04, 1)) == ("\u22128.4", "+8.4", "±0.0")
    assert (change(-0.0123), change(0.0004), change(None)) == ("\u22120.012", "±0.000", NONE)


def test_figures_of_two_regions_are_said_to_be_so(plates: Path) -> None:
    mask = np.zeros((64, 64), bool)
    mask[:32] = True
    model = FastFlow(tiny_config(roi=roi_of(mask)))
    threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
    save_checkpoint(model, Path("models/plates"), category="plates", threshold=threshold)
    found = compare.compare("plates", read_params(), "models/before", "{category}")
    assert found.regions().startswith("The first looks at all of the picture, the second at 50.0% of the picture")
    assert found.regions() in render([found], about={})
    assert found.regions() in compare.table_of([found])
    assert found._replace(first=found.second).regions() == ""


def test_names_are_text() -> None:
    types = pd.DataFrame(columns=["defect_type", "images", "miss_count", "image_auroc", "aupro"])
    side = Side("<b>v</b>", 0.5, {}, types)
    hostile = "<img src=x onerror=alert(1)>"
    text = render([Compared(hostile, side, side, None, 0.95, [], 0, False)] * 2, about={hostile: hostile})
    assert hostile not in text
    assert "<b>v</b>" not in text
    assert json.dumps(hostile)[1:-1].replace("<", "&lt;").replace(">", "&gt;") in text
