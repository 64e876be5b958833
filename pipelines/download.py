"""Fetch one category of a public data set into data/<data set>/<category>, whole or not at all.

The archive is downloaded once into .download/ (resumed if interrupted), or is the local one that the parameters name;
its sha256 is checked at every use. Only the category asked for is unpacked, counted, and then placed at once.
Run by DVC as: python -m pipelines.download --category bottle       (MVTec AD's archive is 4.9 GB)
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastflow.errors import BadData
from fastflow.files import file_sha256
from pipelines.core.lock import locked
from pipelines.core.params import Params, Source
from pipelines.core.progress import progress
from pipelines.core.run import run_category_stage
from pipelines.core.stage import log
from pipelines.data.archive import unpack
from pipelines.data.data_sets import DATA_SETS, DataSet, check_counts
from pipelines.data.fetch import fetch

ARCHIVES = Path(".download")
RECORD = "source.json"
LAYOUT_VERSION = 1  # increased when a data set is arranged in another way


def download(category: str, params: Params) -> None:
    name = params.download.source
    source: Source = getattr(params.download, name)
    archive = Path(params.download.archive) if params.download.archive else None
    provide(DATA_SETS[name], category, source, archive=archive, target=Path("data") / name / category)


def provide(data_set: DataSet, category: str, source: Source, *, archive: Path | None, target: Path) -> None:
    """Places a category's folder at `target`, with a record of where it comes from and its licence.

    Raises:
        BadData: wrong content, a hostile archive, other counts than the official ones, or a foreign folder in the way.
        ServerAway: no mirror gave the archive.
    """
    if category not in data_set.counts:
        raise ValueError(f"category {category!r} is not in {data_set.title}; allowed: {', '.join(data_set.counts)}")
    log.info("%s", data_set.notice)
    record = {"data_set": data_set.title, "category": category, "licence": data_set.licence, "layout": LAYOUT_VERSION}
    record |= {"notice": data_set.notice, "archive_sha256": source.sha256}
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    with locked(ARCHIVES / f"{target.parent.name}-{target.name}.lock"):
        recover(target)
        if is_whole(target, record):
            log.info("%s is here already, and complete", target)
        else:
            _provide(data_set, category, source, archive=archive, target=target, record=record)


def _provide(
    data_set: DataSet, category: str, source: Source, *, archive: Path | None, target: Path, record: dict[str, object]
) -> None:
    verified = verify(archive, source.sha256) if archive else obtain(source, title=data_set.title)
    staging = target.with_name(f".{target.name}.part")
    try:
        staging.mkdir(parents=True)
        with progress(f"unpacking {category}", verified.stat().st_size, unit="B") as advance:
            unpack(verified, staging, wanted=data_set.wanted(category), on_bytes=advance)
        folder = data_set.arrange(staging, category)
        check_counts(folder, data_set.counts[category])
        files = hashes(folder)
        (folder / RECORD).write_text(json.dumps(record | {"files": files}, indent=2) + "\n")
        refuse_foreign_files(target, {**(read_record(target) or {"files": {}})["files"], **files})
        move_into_place(folder, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    log.info("%s: %s images", target, sum(data_set.counts[category][:3]))


def is_whole(target: Path, record: dict[str, object]) -> bool:
    """Whether an earlier download is there, of the same source, and every file of it is as it was.

    Raises:
        BadData: files are there that were not downloaded; they would be lost.
    """
    if not target.exists():
        return False
    if not (target / RECORD).is_file():
        raise BadData(f"{target} is there and was not downloaded by this command; move it away")
    known = read_record(target)
    if known is None:
        log.info("%s is damaged; %s is compared with the archive", target / RECORD, target)
        return False
    refuse_foreign_files(target, known["files"])
    return known == record | {"files": hashes(target)}


def read_record(target: Path) -> dict[str, Any] | None:
    """What an earlier download recorded, "files" among it; None where that is absent or damaged."""
    try:
        known = json.loads((target / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) and isinstance(known.get("files"), dict) else None


def refuse_foreign_files(target: Path, known: Iterable[str]) -> None:
    """Raises BadData where files are there that were not downloaded; they would be lost."""
    found = (p.relative_to(target).as_posix() for p in target.rglob("*") if not p.is_dir() and p.name != RECORD)
    if strangers := sorted(set(found) - set(known)):
        raise BadData(f"{target} holds files that were not downloaded ({', '.join(strangers[:5])}); move them away")


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder but its record, by path."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != RECORD)
    return {p.relative_to(folder).as_posix(): file_sha256(p) for p in paths}


def verify(archive: Path, sha256: str) -> Path:
    """A local archive. Raises BadData if it is absent or not the one whose sha256 is expected."""
    if not archive.is_file():
        raise BadData(f"archive {archive} does not exist; the parameter download.archive names it")
    found = file_sha256(archive)
    if found != sha256:
        raise BadData(
            f"archive {archive} has the sha256 {found}, expected is the whole data set's, {sha256}; download that "
            "again, or, if this one is a zip or of one category, unpack it: fastflow init FOLDER --name NAME"
        )
    return archive


def obtain(source: Source, *, title: str) -> Path:
    """The archive in the store, fetched if it is not there or wrong; one process at a time."""
    target = ARCHIVES / f"{source.sha256}.tar"
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    with locked(ARCHIVES / f"{source.sha256}.lock"):
        if target.is_file():
            try:
                return verify(target, source.sha256)
            except BadData as error:
                log.info("%s", error)
                target.unlink()
        fetch(source.mirrors, target, sha256=source.sha256, what=f"{title}'s archive")
    return target


def recover(target: Path) -> None:
    """Cleans up after a killed call: the folder that `move_into_place` renamed comes back, unless replaced."""
    shutil.rmtree(target.with_name(f".{target.name}.part"), ignore_errors=True)
    old = target.with_name(f".{target.name}.old")
    if old.exists() and target.exists():
        shutil.rmtree(old)
    elif old.exists():
        old.rename(target)


def move_into_place(folder: Path, target: Path) -> None:
    """Renames `folder` to `target`; the earlier download there, which is not whole, is replaced."""
    if target.exists():
        old = target.with_name(f".{target.name}.old")
        target.rename(old)  # `recover` has cleared the way
        folder.rename(target)
        shutil.rmtree(old)
        return
    folder.rename(target)


if __name__ == "__main__":
    run_category_stage(download, doc=__doc__)
