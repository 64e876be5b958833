"""What several tests of the server share."""

from pathlib import Path

import pytest

from fastflow.checkpoint import save_checkpoint
from fastflow.model import FastFlow
from tests.conftest import THRESHOLD, shake, tiny_config


@pytest.fixture
def plates(folder: Path) -> Path:
    """A checkpoint of the category `plates`."""
    model = FastFlow(tiny_config())
    shake(model.flows, scale=0.02)
    save_checkpoint(model, folder / "models/plates", category="plates", threshold=THRESHOLD)
    return folder
