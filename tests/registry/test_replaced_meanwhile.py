"""A model folder that is replaced while it is opened, as by a training that ends, or that is of another category:
never half of each, never another one."""

import json
from pathlib import Path
from typing import Any

import pytest

import fastflow.trained as opening
from fastflow.sealed import BadCheckpoint, read_config, weights_id
from fastflow.trained import TrainedDetector
from pipelines.core.params import read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import NORMAL_SCORES, RUN
from pipelines.core.training_files import normal_table
from pipelines.monitoring import drift
from pipelines.promotion import compare as comparing
from pipelines.qualification.line_model import opened
from pipelines.registry.checkpoints import checkpoint_of
from tests.registry.kit import checkpoint
from tests.stages import write_tiny_params


def test_a_name_and_a_threshold_are_of_the_weights_that_score(folder: Path) -> None:
    checkpoint(folder / "models/plates", 1, category="plates")
    with checkpoint_of("plates") as named:
        checkpoint(folder / "models/plates", 2, category="plates")
        with pytest.raises(BadCheckpoint, match="its sha256 is"):
            named.open()
    with checkpoint_of("plates") as named:
        assert named.open().version == named.weights == weights_id(read_config(folder / "models/plates"))


def test_a_run_is_that_of_the_model_that_was_opened(folder: Path) -> None:
    """What a check of an hour finds would else be logged to the run of the model that has taken the folder since."""
    first, second = ({RUN: json.dumps({"run_key": key}).encode()} for key in ("first", "second"))
    checkpoint(folder / "models/plates", 1, category="plates", files=first)
    with checkpoint_of("plates") as named:
        assert named.run_key == "first"
        checkpoint(folder / "models/plates", 2, category="plates", files=second)
        with pytest.raises(BadCheckpoint, match=r"run\.json is damaged: its sha256 is"):
            _ = named.run_key
    checkpoint(folder / "models/plates", 3, category="plates")
    with checkpoint_of("plates") as named:
        assert named.run_key == ""


def test_the_calibration_is_that_of_the_model_that_was_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replaced(folder: Path, about: Any = None) -> object:
        checkpoint(folder, 2, category="plates", files={NORMAL_SCORES: b'{"pred_score": [2.0]}'})
        return normal_table(folder, about)

    checkpoint(folder / "models/plates", 1, category="plates", files={NORMAL_SCORES: b'{"pred_score": [1.0]}'})
    monkeypatch.setattr(drift, "normal_table", replaced)
    with pytest.raises(BadCheckpoint, match=r"normal_scores\.json is damaged: its sha256 is"):
        drift.reference_of("plates")


def test_a_model_of_another_category_is_refused(folder: Path) -> None:
    """Its verdicts would be taken for those on this category; a name that is no category's may be of any."""
    write_tiny_params(folder)
    write_values({"data.categories": ["plates", "gears"]})
    params = read_params()
    checkpoint(folder / "models/gears", 1, category="gears", files={NORMAL_SCORES: b'{"pred_score": [1.0]}'})
    checkpoint(folder / "models/second", 1, category="plates.model")
    said = "models/gears is a model of gears, not of plates; name a model of plates, or gears"
    with pytest.raises(ValueError, match=said), opened("models/gears", "plates", params):
        pass
    with pytest.raises(ValueError, match=said):
        comparing.opened("models/gears", "plates", params)
    with opened("models/second", "plates", params) as found:
        assert found.detector.category == "plates.model"


def test_a_threshold_is_read_with_its_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = checkpoint(folder / "a", 1, category="plates"), read_config

    def read_then_replace(*arguments: object, **options: object) -> object:
        found = read(path)
        checkpoint(path, 2, category="plates")
        return found

    monkeypatch.setattr(opening, "read_config", read_then_replace)
    with pytest.raises(BadCheckpoint, match="its sha256 is"):
        TrainedDetector.load(path)
