"""The MLflow run that a check of a model is logged to."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.tracking import runs


@contextmanager
def run_of_model(run_key: str, name: str, *, category: str, version: str = "") -> Iterator[runs.TrackedRun]:
    """The training's run, by the key that was read with the model: its folder may hold another one by now. Where there
    is no key, as of a registered version or an export, a run of its own that names the `version`."""
    tags = {"category": category}
    if run_key:
        with runs.continued_run(run_key, name, tags=tags) as run:
            yield run
        return
    with runs.new_run(name, tags=tags | ({"model_version": version} if version else {}), live=False) as run:
        yield run
