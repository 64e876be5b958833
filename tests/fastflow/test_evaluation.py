"""Maps and masks for the pixel metrics, at input size and at the photographs' own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from fastflow.evaluation import Scored, measure, pixels
from fastflow.index import list_category
from tests.conftest import write_plates


def test_at_the_original_size_maps_are_enlarged_and_masks_are_as_drawn(tmp_path: Path) -> None:
    folder = write_plates(tmp_path / "plates", num_train=2, num_test=2, size=96)
    index = list_category(folder).query("split == 'test'").reset_index(drop=True)
    small = np.random.default_rng(0).random((len(index), 24, 32), np.float32)
    scored = Scored(np.zeros(len(index), np.float32), list(small), [(96, 96)] * len(index), 0.0)
    maps, masks = pixels(index, scored, folder, original_size=True)
    for path, anomaly_map, mask, before in zip(index["mask_path"], maps, masks, small, strict=True):
        expected = np.asarray(Image.fromarray(before).resize((96, 96), Image.Resampling.BILINEAR))
        assert anomaly_map == pytest.approx(expected, abs=1e-5)
        drawn = np.asarray(Image.open(folder / path)) > 0 if path else np.zeros((96, 96), bool)
        assert np.array_equal(mask, drawn)
    truth = np.concatenate([mask.ravel() for mask in masks])
    found = measure(index, scored, folder, original_size=True)["pixel_auroc"].value
    assert found == pytest.approx(roc_auc_score(truth, np.concatenate([m.ravel() for m in maps])), abs=1e-6)
    maps, masks = pixels(index, scored, folder)
    assert {m.shape for m in (*maps, *masks)} == {(24, 32)}
