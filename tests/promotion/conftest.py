"""A project of its own for each file of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import write_plates
from tests.stages import write_tiny_params


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a drawn category and a store of its own, as the current directory of this file's tests."""
    folder = tmp_path_factory.mktemp("gate")
    write_plates(folder / "images/plates")
    write_tiny_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("FASTFLOW_SYNC", "later")
        yield folder
