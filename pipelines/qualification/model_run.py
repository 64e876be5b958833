"""The MLflow run that a check of a model is logged to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core.paths import RUN
from pipelines.core.training_files import run_key_of
from pipelines.tracking import runs


@contextmanager
def run_of_model(folder: Path | None, name: str, *, category: str, version: str = "") -> Iterator[runs.TrackedRun]:
    """The training's run, where the checkpoint in `folder` names it; for a registered version or an export, a run of
    its own that names the `version`."""
    tags = {"category": category}
    if folder is not None and (folder / RUN).is_file():
        with runs.continued_run(run_key_of(folder), name, tags=tags) as run:
            yield run
        return
    with runs.new_run(name, tags=tags | ({"model_version": version} if version else {}), live=False) as run:
        yield run
