"""A model by its name, ready to score: an export, a checkpoint, a registered version."""

from pathlib import Path

from fastflow.detector import Detector
from fastflow.export.about import ABOUT
from fastflow.export.runner import open_export


def open_detector(source: str, *, threads: int | None = None, sha256: str = "") -> Detector:
    """`source`: an export's folder, or what `pipelines.registry.checkpoints.checkpoint_of` takes. `threads`: of the
    processor, for an export; by default all cores. `sha256`: of its export.json or config.json, where that is known.

    Raises:
        BadExport, BadCheckpoint, Untrusted: its files are not those that were written, or differ from the known hash.
        ValueError: no such model, or no sha256.
        ServerAway: the registry does not answer.
    """
    if (Path(source) / ABOUT).is_file():
        return open_export(Path(source), threads=threads, sha256=sha256)
    from pipelines.registry.checkpoints import checkpoint_of  # MLflow and PyTorch take seconds: exports do without

    with checkpoint_of(source, sha256=sha256) as named:
        return named.open()
