"""The library in a few lines: held to the pipeline's own result on the same images, and to scikit-learn's metrics."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fastflow.api import TRAINING_DEFAULTS, evaluate, fit, load, predict
from fastflow.errors import BadData
from fastflow.inputs import good_sources_of
from fastflow.sealed import read_config
from fastflow.trained import TrainedDetector
from pipelines import prepare, train
from pipelines.core.params import read_params
from tests.conftest import tiny_config, write_plates
from tests.scoring.region_kit import SHAPES, Brightness, write_photographs
from tests.stages import write_tiny_params

TINY = {name: value for name, value in tiny_config().to_dict().items() if name != "score"}


@pytest.fixture
def plates(folder: Path) -> Path:
    return write_plates(folder / "images/plates")


def small(folder: Path, **settings: object) -> TrainedDetector:
    return fit(folder / "train/good", weights="random", epochs=2, **TINY | settings)


def test_five_lines_on_a_folder(plates: Path) -> None:
    reported: list[tuple[int, int]] = []
    detector = fit(
        plates / "train/good",
        weights="random",
        epochs=2,
        on_epoch=lambda e, fold: reported.append((fold, e.epoch)),
        **TINY,
    )
    assert reported[-2:] == [(0, 1), (0, 2)]
    assert reported[:4] == [(1, 1), (1, 2), (2, 1), (2, 2)]  # and again where they need more noise
    found = predict(detector, plates / "test")
    assert found.table["image_path"].tolist() == sorted(map(str, (plates / "test").rglob("*.png")))
    assert [one.shape for one in found.anomaly_maps] == [(64, 64)] * len(found.table)
    assert (found.table["pred_label"] == (found.table["pred_score"] > detector.threshold["image"])).all()
    label = [0 if "/good/" in path else 1 for path in found.table["image_path"]]
    metrics = evaluate(detector, plates)
    assert metrics["image_auroc"] == pytest.approx(roc_auc_score(label, found.table["pred_score"]))
    assert metrics["aupro"] is not None


def test_evaluate_counts_mistakes_at_the_threshold(plates: Path) -> None:
    detector = small(plates, folds=None)
    scores = predict(detector, plates / "test").table
    for threshold in scores["pred_score"].quantile([0.2, 0.8]):
        metrics = evaluate(replace(detector, threshold={**detector.threshold, "image": threshold}), plates)
        defective = ~scores["image_path"].str.contains("/good/")
        flagged = scores["pred_score"] > threshold
        assert metrics["false_reject_rate"] == pytest.approx(flagged[~defective].mean())
        assert metrics["miss_rate"] == pytest.approx(1 - flagged[defective].mean())


def test_a_saved_detector_is_the_same(plates: Path) -> None:
    detector = small(plates, folds=None)
    detector.save("plates.model")
    again = load("plates.model")
    files = sorted((plates / "test/good").iterdir())
    pd.testing.assert_frame_equal(predict(again, files).table, predict(detector, files).table)
    assert again.threshold == detector.threshold


def test_it_is_the_pipelines_own_training(plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    write_tiny_params(Path(), epochs=2, batch_size=TRAINING_DEFAULTS["batch_size"])
    params = read_params()
    prepare.prepare("plates", params)
    train.train("plates", params)
    chosen = params.model.overrides
    detector = fit(
        plates / "train/good", backbone=params.model.preset, weights="random", epochs=2,
        folds=params.threshold.folds, seed=params.seed, **chosen,
    )  # fmt: skip
    theirs = load("models/plates")
    images = plates / "test"
    np.testing.assert_allclose(
        predict(detector, images).table["pred_score"], predict(theirs, images).table["pred_score"], rtol=1e-4
    )
    expected = read_config(Path("models/plates"))["threshold"]["image"]
    assert detector.threshold["image"] == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_learnt_from_is_refused(plates: Path, tmp_path: Path) -> None:
    one = sorted((plates / "train/good").iterdir())[:1]
    with pytest.raises(ValueError, match="1 images are too few"):
        fit(one, weights="random", **TINY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"empty holds no image; looked for \.png"):
        predict(small(plates, folds=None), tmp_path / "empty")
    (tmp_path / "bare/train/good").mkdir(parents=True)
    with pytest.raises(BadData, match="holds no test image"):
        evaluate(small(plates, folds=None), tmp_path / "bare")


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True])
def test_epochs_that_train_nothing_are_refused(plates: Path, epochs: Any) -> None:
    with pytest.raises(ValueError, match=f"epochs is {epochs}; allowed: a whole number from 1"):
        fit(plates / "train/good", weights="random", **TINY | {"epochs": epochs})


def test_nothing_is_good_once_a_threshold_has_become_nan(plates: Path) -> None:
    detector = small(plates, folds=None)
    threshold: Any = detector.threshold
    scores = predict(detector, plates / "test").table["pred_score"]
    for value, expected in ((float(scores.max()), 0), (math.nan, 1)):
        threshold["image"] = value
        assert set(predict(detector, plates / "test").table["pred_label"]) == {expected}


def test_a_folder_that_holds_more_than_good_parts_is_not_trained_on(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"it holds ground_truth, test; give .*train/good"):
        fit(plates, weights="random", **TINY)
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("1.png", "1_mask.png", "2.png", "3.jpg"):
        (mine / name).write_bytes(b"")
    with pytest.raises(BadData, match=r"it holds 1_mask\.png; give a folder of good ones, or a list"):
        fit(mine, weights="random", **TINY)
    days = [mine / "good" / name for name in ("2024-05-01/a.png", "2024-05-02/a.png", "2024-05-02/a_2.png")]
    for path in days:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert good_sources_of(mine / "good") == days, "pictures by day, and bursts, are good parts"
    assert good_sources_of([plates / "test/good/000.png"]) == [plates / "test/good/000.png"], "a list is what was meant"


def test_predict_gives_regions_and_a_frame_of_them(folder: Path) -> None:
    photographs = write_photographs(folder / "line")
    found = predict(Brightness(), photographs, min_area=5, mm_per_pixel=0.5)
    shapes = [[one for one in SHAPES[Path(name).stem] if one[2] * one[3] >= 5] for name in found.table["image_path"]]
    assert [[region[:4] for region in of_image] for of_image in found.regions] == [
        [shape[:4] for shape in of_image] for of_image in shapes
    ]
    table = found.region_table
    assert table["area"].tolist() == [shape[2] * shape[3] for of_image in shapes for shape in of_image]
    assert table["area_mm2"].tolist() == (table["area"] / 4).tolist()
    assert set(table["image_path"]) == {
        name for name, own in zip(found.table["image_path"], shapes, strict=True) if own
    }
    assert "area_mm2" not in predict(Brightness(), photographs).region_table
    frame = found.to_frame()
    assert frame["regions"].tolist() == [len(own) for own in shapes]
    assert frame["largest_area"].tolist() == [max((one[2] * one[3] for one in own), default=0) for own in shapes]
    assert frame[list(found.table)].equals(found.table)
    none = predict(Brightness(), photographs, min_area=10**6)
    assert (len(none.region_table), list(none.region_table)[:3]) == (0, ["image_path", "x", "y"])
    with pytest.raises(ValueError, match="mm_per_pixel is 0"):
        predict(Brightness(), photographs, mm_per_pixel=0)
