"""A backup of the store, brought back into an empty place: the champion scores there as it did."""

import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fastflow.errors import BadData
from pipelines.registry import aliases, backup, store
from pipelines.registry.place import DATABASE
from pipelines.tracking import journal
from pipelines.tracking.sync import sync
from tests.registry.kit import champion_scores, checkpoint, register, version_of

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A project, which is the current directory, and an empty place."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    both = tmp_path / "the project", tmp_path / "another place"
    for folder in both:
        (folder / ".dvc/cache/files/md5/ab").mkdir(parents=True)
    (both[0] / ".dvc/cache/files/md5/ab/cd").write_bytes(b"a photograph")
    (both[0] / "reports").mkdir()
    monkeypatch.chdir(both[0])
    return both


@pytest.mark.slow
def test_the_champion_scores_in_another_place_as_it_did(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project, other = places
    register(checkpoint(project / "a", 1))
    sync()
    aliases.crown(store.connect(), "plates", "1")
    register(checkpoint(project / "b", 2))  # evaluated, and not sent yet
    expected, unsent = champion_scores(), len(journal.pending())
    backup.backup(tmp_path / "monday.tar")
    assert (tmp_path / "monday.tar").stat().st_mode & 0o777 == 0o600
    shutil.rmtree(project)
    monkeypatch.chdir(other)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # which MLflow has set to the project's; a new process has none
    backup.restore(tmp_path / "monday.tar")
    assert (other / ".dvc/cache/files/md5/ab/cd").read_bytes() == b"a photograph"
    assert version_of("champion") == "1"
    assert champion_scores() == pytest.approx(expected)
    assert len(journal.pending()) == unsent == 1
    sync()
    assert version_of("challenger") == "2"
    assert not list((other / ".state").iterdir())


def small_store() -> None:
    """A data base with a table, and an artifact."""
    DATABASE.parent.mkdir()
    with closing(sqlite3.connect(DATABASE)) as base, base:
        base.execute("CREATE TABLE runs (name TEXT)")
    artifact = DATABASE.parent / "artifacts/1/model"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"weights")


def test_nothing_is_overwritten(places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="nothing was trained here yet"):
        backup.backup(tmp_path / "a.tar")
    small_store()
    (tmp_path / "b.tar").write_text("another's")
    with pytest.raises(ValueError, match=r"b\.tar exists"):
        backup.backup(tmp_path / "b.tar")
    backup.backup(tmp_path / "a.tar")
    with pytest.raises(ValueError, match=r"mlflow\.db exists; restore in a fresh clone"):
        backup.restore(tmp_path / "a.tar")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with pytest.raises(ValueError, match="names a server"):
        backup.backup(tmp_path / "c.tar")


def test_a_full_disk_leaves_no_half_backup(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_store()

    def full(self: tarfile.TarFile, member: tarfile.TarInfo, content: io.BytesIO | None = None) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OSError, match="No space left"):
        backup.backup(tmp_path / "a.tar")
    assert [path.name for path in tmp_path.glob(".*")] + list(tmp_path.glob("*.tar")) == []


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = path.read_bytes()
    assert content.count(b"weights") == 1
    path.write_bytes(content.replace(b"weights", b"weightz"))


def outside(path: Path) -> None:
    """A backup that is whole, and would write a file of the project."""
    files = dict.fromkeys(("dvc.yaml", DATABASE.as_posix()), b"x")
    files["manifest.json"] = json.dumps({name: hashlib.sha256(b"x").hexdigest() for name in files}).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def escaping(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("../escaped")
        tar.addfile(member, io.BytesIO(b""))


def other(path: Path) -> None:
    path.write_text("no tar file")


@pytest.mark.parametrize("damage", [torn, flipped, outside, escaping, other])
def test_what_is_not_a_whole_backup_changes_nothing(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    small_store()
    backup.backup(tmp_path / "a.tar")
    damage(tmp_path / "a.tar")
    monkeypatch.chdir(places[1])
    with pytest.raises(BadData, match=r"a\.tar"):
        backup.restore(tmp_path / "a.tar")
    assert not Path(".mlflow").exists()
    assert not (tmp_path / "escaped").exists()
    assert list(Path(".state").iterdir()) == []


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(places: tuple[Path, Path], tmp_path: Path) -> None:
    """Its name can be foreseen: whoever may write to that folder would have the user empty a file of theirs."""
    small_store()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".monday.tar.part").symlink_to(tmp_path / "precious")
    backup.backup(tmp_path / "monday.tar")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "monday.tar").is_symlink()
    assert (tmp_path / "monday.tar").stat().st_mode & 0o777 == 0o600
