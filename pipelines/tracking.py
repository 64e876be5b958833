"""MLflow: one run per category and training, continued by its evaluation. `make ui` shows them.

The store is .mlflow/mlflow.db beside params.yaml, or the server that MLFLOW_TRACKING_URI names.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# MLflow reads these at import: no telemetry, and minutes less of waiting for a dead server.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from fastflow.train import Epoch
from pipelines.stage import ServerAway

EXPERIMENT = "fastflow"
STORE = Path(".mlflow")


def connect() -> None:
    """Points MLflow at the store and makes the experiment, one process at a time: a fresh SQLite store breaks
    when several initialise it together.

    Raises:
        ServerAway: the server of MLFLOW_TRACKING_URI does not answer.
    """
    STORE.mkdir(mode=0o700, exist_ok=True)
    local = f"sqlite:///{(STORE / 'mlflow.db').resolve()}"
    uri = os.environ.get("MLFLOW_TRACKING_URI", local)
    mlflow.set_tracking_uri(uri)
    with (STORE / "init.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if mlflow.get_experiment_by_name(EXPERIMENT) is None:
                place = (STORE / "artifacts").resolve().as_uri() if uri == local else None
                mlflow.create_experiment(EXPERIMENT, artifact_location=place)
            mlflow.set_experiment(EXPERIMENT)
        except MlflowException as error:
            raise ServerAway(  # MLflow's own text may hold the address with its password: it stays in the chain
                f"the MLflow store {_without_secrets(uri)} cannot be used; "
                "start the server, or unset MLFLOW_TRACKING_URI to use .mlflow/ here"
            ) from error


class TrackedRun:
    """One MLflow run, written to by id: several may be open at once."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._client = mlflow.MlflowClient()

    def log_params(self, params: Mapping[str, object]) -> None:
        self._client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in params.items()])

    def log_epoch(self, epoch: Epoch) -> None:
        self.log_metrics({"loss": epoch.loss, "epoch_seconds": epoch.seconds}, step=epoch.epoch)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(self.run_id, metrics=[Metric(k, v, now, step) for k, v in metrics.items()])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._client.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in tags.items()])

    def log_files(self, path: Path, *, under: str) -> None:
        """A file, or a folder's content, as artifacts below `under`."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), artifact_path=under)
        else:
            self._client.log_artifact(self.run_id, str(path), artifact_path=under)


@contextmanager
def new_run(name: str, *, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
    """A new run; it ends as FINISHED, or FAILED if the block raises."""
    with mlflow.start_run(run_name=name, tags=dict(tags)) as run:
        yield TrackedRun(run.info.run_id)


@contextmanager
def continued_run(run_id: str) -> Iterator[TrackedRun | None]:
    """The run of that id again, or None where this store does not hold it: made on another machine, or deleted."""
    if not _holds(run_id):
        yield None
        return
    with mlflow.start_run(run_id=run_id):
        yield TrackedRun(run_id)


def _holds(run_id: str) -> bool:
    try:
        return bool(mlflow.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise ServerAway("the MLflow store stopped answering; see that the server runs, then repeat") from error


def _without_secrets(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
