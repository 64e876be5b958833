"""A detector by its name: a checkpoint, an export, a version of a registry."""

from importlib.metadata import entry_points
from pathlib import Path

from fastflow.detector import Detector
from fastflow.export.about import ABOUT
from fastflow.export.runner import open_export
from fastflow.trained import TrainedDetector

REGISTRY = "fastflow.registry"
"""The entry point of whoever opens models:/ names: the library itself knows no registry."""


def load(name: str | Path, *, sha256: str = "") -> Detector:
    """The folder of a checkpoint or an export, as it was saved; or a registered version, such as
    models:/fastflow-bottle@champion. `sha256`: of its config.json or export.json, where that is known.

    Raises:
        BadCheckpoint, BadExport: its files are not those that were written, or differ from `sha256`.
        ValueError: `sha256` is none; no such version.
        ImportError: a registered version, and the pipeline, which opens it by MLflow, is not installed.
    """
    if str(name).startswith("models:"):
        return _registered(str(name), sha256=sha256)
    path = Path(name)
    is_export = (path / ABOUT).is_file()
    return open_export(path, sha256=sha256) if is_export else TrainedDetector.load(path, sha256=sha256)


def _registered(name: str, *, sha256: str) -> Detector:
    opener = next(iter(entry_points(group=REGISTRY)), None)
    if opener is None:
        raise ImportError(f"{name} is opened by the pipeline, which is not installed here; in a project: make setup")
    found: Detector = opener.load()(name, sha256=sha256)
    return found
