"""The files that hold a password: for their owner alone, from the first byte on, and never through a link."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fastflow.files import write_bytes
from pipelines.core.lock import locked
from pipelines.orchestration.service_settings import ENVIRONMENT, read_environment, write_environment
from pipelines.orchestration.services import RECORD, Service, record

pytestmark = pytest.mark.usefixtures("folder", "nothing_masked")


@pytest.fixture
def nothing_masked() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_they_are_their_owners_alone_whatever_lay_there_before() -> None:
    ENVIRONMENT.parent.mkdir()
    for path in (ENVIRONMENT, RECORD):
        path.write_text("older, and open to all")
        path.chmod(0o666)
    write_environment({"A": "a secret"})
    record([])
    assert [oct(path.stat().st_mode & 0o777) for path in (ENVIRONMENT, RECORD)] == ["0o600", "0o600"]
    assert read_environment() == {"A": "a secret"}


@pytest.mark.parametrize("name", [ENVIRONMENT.name, f".{ENVIRONMENT.name}.part"])
def test_a_link_in_their_place_is_replaced(name: str) -> None:
    ENVIRONMENT.parent.mkdir()
    Path("others").write_text("another's")
    (ENVIRONMENT.parent / name).symlink_to(Path("others").absolute())
    write_environment({"A": "a secret"})
    assert Path("others").read_text() == "another's"
    assert not ENVIRONMENT.is_symlink()
    assert read_environment() == {"A": "a secret"}


def test_a_lock_is_not_taken_through_a_link() -> None:
    Path("others").write_text("another's")
    Path("lock").symlink_to("others")
    with pytest.raises(OSError, match="symbolic links"), locked(Path("lock")):
        pass
    assert Path("others").read_text() == "another's"


def test_other_files_have_the_users_own_mode() -> None:
    os.umask(0o027)
    write_bytes(Path("report.html"), b"x")
    assert oct(Path("report.html").stat().st_mode & 0o777) == "0o640"


def test_a_copy_of_a_project_takes_no_service_of_the_original_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    for folder in (original, copy):
        folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], cwd=original, stdin=subprocess.PIPE) as process:
        service = Service("mlflow", process.pid, psutil.Process(process.pid).create_time())
        monkeypatch.chdir(original)
        assert service.alive()
        monkeypatch.chdir(copy)
        assert not service.alive()
        process.kill()
    monkeypatch.chdir(original)
    assert not service.alive()
