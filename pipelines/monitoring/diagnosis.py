"""The checks of `doctor`: each yields its findings with a remedy, and with a function where a safe repair exists."""

import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from fastflow.errors import BadData
from fastflow.index import read_index, verify_images
from fastflow.sealed import BACKBONE, CONFIG, FLOW, BadCheckpoint, read_config, read_sealed
from pipelines.core.environment import is_read_only
from pipelines.core.params import Params
from pipelines.core.paths import DVC_CACHE, STATE, STORE, index_file, model_folder
from pipelines.core.rwlock import training_now
from pipelines.data.origin import source_stage
from pipelines.tracking import journal

LOCKFILE = Path("requirements.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
PACKAGES = ("torch", "timm", "numba", "numpy", "dvc", "mlflow", "prefect", "fastapi", "sqlalchemy")
_REVISIONS = ("revision", "down_revision")
MIN_FREE_BYTES = 2 * 10**9


class Remark(NamedTuple):
    """`level` is ok, warn or fail; `cure` repairs it where that is safe, else it is None."""

    level: str
    about: str
    message: str
    remedy: str = ""
    cure: Callable[[], None] | None = None


def versions() -> Iterator[Remark]:
    """Installed packages against the lock."""
    if not LOCKFILE.is_file():
        yield Remark("warn", "versions", f"{LOCKFILE} is not here", "run from the project's folder")
        return
    pins = dict(line.split(" ")[0].split("==", 1) for line in LOCKFILE.read_text().splitlines() if "==" in line)
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Remark("fail", "versions", f"{name} is not installed", "make setup")
            continue
        if name != "numpy" and found != pins.get(name):  # the lock has a numpy for each Python
            yield Remark("warn", "versions", f"{name} {found}, the lock has {pins.get(name)}", "make setup")
    yield Remark("ok", "versions", f"Python {sys.version.split()[0]}, {len(PACKAGES)} packages looked at")


def disk(params: Params) -> Iterator[Remark]:
    """Free space, and folders that others could change."""
    free = shutil.disk_usage(".").free
    message = f"{free / 1e9:.1f} GB are free"
    yield (
        Remark("ok", "disk", message)
        if free > MIN_FREE_BYTES
        else Remark("warn", "disk", message, "make room: fastflow gc, dvc gc --workspace")
    )
    if is_read_only(Path()):
        message = "this folder is read-only: models score and serve from here, with results elsewhere; nothing trains"
        yield Remark("warn", "disk", message, "for more: work in a copy of the project")
    site = os.environ.get("DVC_SITE_CACHE_DIR")
    if not site:
        cure = "source .venv/bin/activate, or export DVC_SITE_CACHE_DIR=$PWD/.dvc/site-cache"
        yield Remark("warn", "permissions", "DVC's site cache is in a folder that others may write to", cure)
    for folder in (STORE, STATE):
        if folder.is_dir() and folder.stat().st_mode & 0o002:
            private = _remove_write_permission(folder)
            yield Remark("fail", "permissions", f"{folder} can be written by anybody", f"chmod o-w {folder}", private)


def _remove_write_permission(folder: Path) -> Callable[[], None]:
    return lambda: folder.chmod(folder.stat().st_mode & ~0o002)


def weights(params: Params) -> Iterator[Remark]:
    name = params.model.weights
    if name not in ("random", "imagenet", "pretrained") and not Path(name).is_file():
        yield Remark("fail", "weights", f"{name} does not exist", "give model.weights an existing file")
    else:
        late = ": installed, in this machine's cache, or else downloaded by the first training"
        yield Remark("ok", "weights", name + late * (name != "random" and not Path(name).is_file()))


def locks() -> Iterator[Remark]:
    """DVC's records of readers and writers: those of processes that have ended."""
    if not RWLOCK.is_file():
        return
    try:
        held = json.loads(RWLOCK.read_text() or "{}")
        writers = [entry["write"] for entry in held.values() if entry.get("write")]
        readers = [reader for entry in held.values() for reader in entry.get("read", [])]
        dead = sorted({h["pid"] for h in writers + readers if not Path(f"/proc/{h['pid']}").exists()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield Remark("fail", "locks", f"{RWLOCK} is not what DVC writes", f"rm {RWLOCK}", RWLOCK.unlink)
        return
    if dead and Path("/proc").is_dir():
        yield Remark(
            "warn", "locks", f"{RWLOCK} names processes that are gone: {dead}", "DVC clears it at its next run"
        )


def cache() -> Iterator[Remark]:
    """DVC's cache: each file's content against its name."""
    count = 0
    for path in sorted((DVC_CACHE / "files/md5").glob("??/*")):
        count += 1
        expected = path.parent.name + path.name.removesuffix(".dir")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != expected:
            remedy = "delete it, then dvc pull, or run its stage again: dvc repro"
            yield Remark("fail", "DVC cache", f"{path} is damaged", remedy, path.unlink)
    yield Remark("ok", "DVC cache", f"{count} files looked at")


def outputs(params: Params) -> Iterator[Remark]:
    """Indexes, images and models of each category."""
    for category in params.data.categories:
        root = Path(params.data.root) / category
        try:
            if index_file(category).is_file():
                for split in ("train", "test"):
                    verify_images(read_index(index_file(category), split=split), root)
                yield Remark("ok", "data", category)
            if not tracked(params, category):
                message = f"DVC does not track {root}: no other clone can have these images"
                yield Remark("warn", "data", message, f"dvc add {shlex.quote(str(root))}")
            if not model_folder(category).is_dir():
                yield Remark(
                    "warn", "model", f"{category} has none{training_now(category)}", f"fastflow train {category}"
                )
            else:
                sealed = read_config(model_folder(category))["sha256"]
                for name in {FLOW, BACKBONE, *sealed}:
                    read_sealed(model_folder(category), name)
                yield Remark("ok", "model", f"{category}, {len(sealed)} files and {CONFIG}")
        except BadCheckpoint as error:
            yield Remark("fail", "model", str(error), f"dvc checkout --force models/{category}, or dvc repro")
        except BadData as error:
            yield Remark("fail", "data", str(error), f"dvc repro prepare@{category}, after restoring the images")


def tracked(params: Params, category: str) -> bool:
    """Whether DVC tracks the category's images: by a .dvc file, or as an output of one of its stages."""
    root = Path(params.data.root)
    own = any(Path(f"{place}.dvc").is_file() for place in (root / category, root))
    return own or source_stage(category, params) is not None


def store() -> Iterator[Remark]:
    """The MLflow store on this disk, and runs that wait for a server."""
    database = STORE / "mlflow.db"
    if database.is_file():
        try:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
                schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            verdict, schema = str(error), ""
        if verdict != "ok":
            yield Remark("fail", "MLflow store", f"{database}: {verdict}", "restore it from a backup, or move it away")
        elif schema not in _schema_heads():
            remedy = f"copy {database}, then: mlflow db upgrade sqlite:///{database}"
            yield Remark("fail", "MLflow store", f"{database} has the schema {schema} of another MLflow", remedy)
        else:
            yield Remark("ok", "MLflow store", str(database))
    waiting = [f for f in journal.pending() if not journal.writer_is_alive(f)]
    if waiting:
        yield Remark("warn", "MLflow store", f"{len(waiting)} runs wait to be sent", "fastflow sync")


def _schema_heads() -> set[str]:
    """The newest schema of the installed MLflow: the migration that no other one follows."""
    spec = importlib.util.find_spec("mlflow")
    places = list(spec.submodule_search_locations or []) if spec else []
    texts = [p.read_text() for place in places for p in Path(place).glob("store/db_migrations/versions/*.py")]
    named = {key: set(re.findall(rf'^{key} = "(\w+)"', "\n".join(texts), re.MULTILINE)) for key in _REVISIONS}
    return named["revision"] - named["down_revision"]


def remnants() -> Iterator[Remark]:
    """Temporary files that killed processes left."""
    for folder in (Path("models"), Path("reports"), Path("data/prepared"), STATE):
        for path in sorted(folder.rglob(".*.part")):
            cure = (lambda path=path: shutil.rmtree(path)) if path.is_dir() else path.unlink
            yield Remark("warn", "remnants", f"{path} was left by a process that was killed", f"rm -r {path}", cure)
