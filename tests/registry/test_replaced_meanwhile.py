"""A model folder that is replaced while it is opened, as by a training that ends: never half of each."""

from pathlib import Path

import pytest

import fastflow.trained as opening
from fastflow.sealed import BadCheckpoint, read_config, weights_id
from fastflow.trained import TrainedDetector
from pipelines.registry.checkpoints import checkpoint_of
from tests.registry.kit import checkpoint


def test_a_name_and_a_threshold_are_of_the_weights_that_score(folder: Path) -> None:
    checkpoint(folder / "models/plates", 1, category="plates")
    with checkpoint_of("plates") as named:
        checkpoint(folder / "models/plates", 2, category="plates")
        with pytest.raises(BadCheckpoint, match="its sha256 is"):
            named.open()
    with checkpoint_of("plates") as named:
        assert named.open().version == named.weights == weights_id(read_config(folder / "models/plates"))


def test_a_threshold_is_read_with_its_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = checkpoint(folder / "a", 1, category="plates"), read_config

    def read_then_replace(*arguments: object, **options: object) -> object:
        found = read(path)
        checkpoint(path, 2, category="plates")
        return found

    monkeypatch.setattr(opening, "read_config", read_then_replace)
    with pytest.raises(BadCheckpoint, match="its sha256 is"):
        TrainedDetector.load(path)
