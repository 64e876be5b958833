"""What several tests of data share."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import write_plates
from tests.data.download_kit import TINY, serving


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in MVTec AD's layout with two categories, and its licence."""
    folder = tmp_path_factory.mktemp("archive")
    for category in TINY.counts:
        write_plates(folder / category)
    (folder / "license.txt").write_text("CC BY-NC-SA 4.0")
    path = folder / "tiny.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for name in ("license.txt", *TINY.counts):
            tar.add(folder / name, arcname=name)
    return path


@pytest.fixture(scope="module")
def server(archive: Path) -> Iterator[str]:
    with serving(archive) as url:
        yield url


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A category large enough that one odd image is odd."""
    return write_plates(tmp_path / "plates", num_train=12, num_test=12)
