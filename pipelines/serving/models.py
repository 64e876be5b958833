"""The models that a server holds, and the champions that replace them while it runs."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastflow.detector import Detector
from fastflow.export.about import ABOUT
from fastflow.files import file_sha256
from pipelines.core.stage import Failed, log
from pipelines.registry.detectors import open_detector

REGISTERED = "models:/fastflow-"
PREPARING_SECONDS = 600


class Source(NamedTuple):
    """Where a category's model comes from: an export's folder, a checkpoint, or an alias in the registry. `sha256`: of
    its export.json or config.json, where that is known."""

    category: str
    name: str
    sha256: str = ""

    @property
    def alias(self) -> str | None:
        return self.name.partition("@")[2] if self.name.startswith("models:") and "@" in self.name else None


class Models:
    """A detector for each category. `watch` replaces those that come from an alias when that moves; a model that cannot
    be prepared or opened leaves the one before in its place."""

    def __init__(self, sources: list[Source], folder: Path, *, threads: int | None) -> None:
        self.sources, self.folder, self.threads = sources, folder, threads
        self.failures: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.detectors: dict[str, Detector] = {}
        for source in sources:
            self._replace(source)

    def get(self, category: str | None) -> Detector:
        """Raises KeyError where there is no such category, or none is named and there are several."""
        if category is None and len(self.detectors) == 1:
            return next(iter(self.detectors.values()))
        return self.detectors[category or ""]

    def checkpoint(self, category: str) -> str | None:
        """The name of a served model's checkpoint; None where an export is served."""
        (source,) = [one for one in self.sources if one.category == category]
        version = self.versions[category]
        if source.alias:
            return f"{REGISTERED}{category}/{version}"
        return None if (Path(version) / ABOUT).is_file() else version

    def watch(self, *, seconds: float, ending: threading.Event) -> None:
        """Checks every alias every so many seconds, until `ending` is set."""
        while not ending.wait(seconds):
            self.refresh()

    def refresh(self) -> None:
        for source in self.sources:
            if source.alias:
                try:
                    self._replace(source)
                    self.failures.pop(source.category, None)
                except Exception as error:  # of a store, a download, a runtime: the present model stays
                    if self.failures.get(source.category) != str(error):
                        log.warning("%s: keeps %s: %s", source.category, self.versions[source.category], error)
                    self.failures[source.category] = str(error)

    def _replace(self, source: Source) -> None:
        version = _aliased_version(source) if source.alias else source.name
        if self.versions.get(source.category) == version:
            return
        name = f"{REGISTERED}{source.category}/{version}" if source.alias else version
        detector = self._open(source, name)
        self.detectors[source.category], self.versions[source.category] = detector, version
        log.info("%s: serves %s", source.category, detector.version)

    def _open(self, source: Source, name: str) -> Detector:
        """An export as it is; anything else is exported and compared first, by a separate process."""
        if (Path(name) / ABOUT).is_file():
            return open_detector(name, threads=self.threads, sha256=source.sha256)
        to = self.folder / str(self.sources.index(source))  # a category is what a stranger may have written
        shutil.rmtree(to, ignore_errors=True)
        words = ["convert", name, str(to), "--sha256", source.sha256]
        command = [sys.executable, "-m", "pipelines.cli.operations", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PREPARING_SECONDS, check=False, start_new_session=True
        )
        if done.returncode:
            raise Failed(f"{name} cannot be prepared: {done.stderr.strip().rpartition('error: ')[2][-1000:]}")
        return open_detector(str(to), threads=self.threads, sha256=file_sha256(to / ABOUT))  # ours: no signature


def _aliased_version(source: Source) -> str:
    from pipelines.registry.checkpoints import registered_version  # imports MLflow: exports are served without

    return registered_version(source.category, alias=source.alias)


def sources_of(names: Sequence[str], known: Sequence[str], category_of: Callable[[str, str], str]) -> list[Source]:
    """`known`: the sha256 of each, in the same order, or none at all; `category_of` takes a name and its sha256. Raises
    ValueError where two are of one category, or only some have a sha256."""
    if known and len(known) != len(names):
        raise ValueError(f"{len(names)} --model and {len(known)} --sha256: give one for each model, in the same order")
    found: dict[str, Source] = {}
    for name, sha256 in zip(names, known or [""] * len(names), strict=True):
        category = category_of(name, sha256)
        if category in found:
            raise ValueError(f"{name} and {found[category].name} are both of {category}; name one of them")
        found[category] = Source(category, name, sha256)
    return list(found.values())
