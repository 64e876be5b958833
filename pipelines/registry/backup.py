"""All that git does not hold, in one file, and back again: runs, models, aliases, what was not sent yet, DVC's cache.

Run as: fastflow backup ~/backups/monday.tar
        fastflow restore ~/backups/monday.tar     in a clone that has no store yet; then: dvc checkout

The data base is copied first, by SQLite's own backup, so that its artifacts are all in the file, also while a
retraining runs. The manifest at the end holds a sha256 of every member: what is torn or changed is refused.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from fastflow.errors import BadData
from fastflow.files import file_sha256, sync_folder
from pipelines.core.paths import DVC_CACHE, STATE, STORE
from pipelines.core.stage import log, without_secrets
from pipelines.core.tracking_uri import VARIABLE, is_on_this_disk, tracking_uri
from pipelines.registry.place import DATABASE

FOLDERS = (STORE / "artifacts", STORE / "journal", DVC_CACHE / "files", DVC_CACHE / "runs")
MANIFEST = "manifest.json"


def backup(to: Path) -> None:
    """Writes `to`, a tar file, whole or not at all.

    Raises:
        ValueError: it exists; or the store is a server's; or there is none yet.
        OSError: it cannot be written.
    """
    _require_own_store()
    if to.exists():
        raise ValueError(f"{to} exists; choose another name, such as one with today's date")
    if not DATABASE.is_file():
        raise ValueError(f"there is no {DATABASE} to keep: nothing was trained here yet")
    part = to.with_name(f".{to.name}.part")
    try:
        part.unlink(missing_ok=True)  # a killed process's, or a link
        # images and models are their owner's, from the first byte on
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                count = _write(tar)
            file.flush()
            os.fsync(file.fileno())
        part.replace(to)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(to.parent)
    log.info("%s: %d files, %.0f MB", to, count, to.stat().st_size / 1e6)


def restore(source: Path) -> None:
    """Brings back what `backup` has kept, all of it or nothing.

    Raises:
        ValueError: there is a store here already, or it is a server's.
        BadData: the file is not a whole backup.
    """
    _require_own_store()
    if DATABASE.exists():
        raise ValueError(f"{DATABASE} exists; restore in a fresh clone, or move {STORE} away first")
    if not source.is_file():
        raise ValueError(f"{source} is no file")
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE, prefix="restore-") as scratch:
        names = _unpacked(source, Path(scratch))
        STORE.mkdir(mode=0o700, exist_ok=True)
        for name in names:  # the data base comes last: with it the store is there
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            if not (Path(name).exists() and name.startswith(f"{DVC_CACHE}/")):  # the cache's names are hashes
                shutil.move(Path(scratch, name), name)
    log.info("restored %d files from %s; models, reports and images: dvc checkout", len(names), source)


def _require_own_store() -> None:
    uri = tracking_uri()
    if uri is not None and not is_on_this_disk(uri):
        raise ValueError(
            f"{VARIABLE} names a server ({without_secrets(uri)}), whose store is kept with its data base's own tools; "
            f"for this folder's own store: unset {VARIABLE}"
        )


def _write(tar: tarfile.TarFile) -> int:
    hashes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / DATABASE.name
        with closing(sqlite3.connect(DATABASE)) as base, closing(sqlite3.connect(copy)) as kept:
            base.backup(kept)
        for path in _files():
            with contextlib.suppress(FileNotFoundError):  # sent, or cleaned up, meanwhile
                hashes[path.as_posix()] = _add(tar, path.as_posix(), path.read_bytes())
        hashes[DATABASE.as_posix()] = _add(tar, DATABASE.as_posix(), copy.read_bytes())
    _add(tar, MANIFEST, json.dumps(hashes, indent=1).encode())
    return len(hashes)


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> str:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def _unpacked(source: Path, folder: Path) -> list[str]:
    """Names of the backup's files, unpacked in `folder` and verified. Raises BadData."""
    try:
        with tarfile.open(source, mode="r:") as tar:
            tar.extractall(folder, filter="data")
        hashes = dict(json.loads((folder / MANIFEST).read_text()))
    except (tarfile.TarError, EOFError, FileNotFoundError, ValueError, TypeError, RecursionError) as error:
        raise BadData(f"{source} is not a whole backup of `fastflow backup`: {error}") from error
    allowed = [DATABASE, *FOLDERS]
    for name, known in hashes.items():
        path = folder / name
        if ".." in Path(name).parts or not any(Path(name).is_relative_to(one) for one in allowed):
            raise BadData(f"{source}: {name!r} is no file of a backup")
        if path.is_symlink() or not path.is_file() or file_sha256(path) != known:
            raise BadData(f"{source}: {name} is missing or was changed; take another backup")
    if list(hashes)[-1:] != [DATABASE.as_posix()]:
        raise BadData(f"{source} holds no data base of runs")
    return list(hashes)
