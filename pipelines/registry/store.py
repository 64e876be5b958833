"""The MLflow store: connecting to it, and finding or making the one run of a key.

It is .mlflow/mlflow.db beside params.yaml, or the server that MLFLOW_TRACKING_URI names.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# MLflow reads these at import or at each call: no telemetry, and seconds of waiting for a dead server, not minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipelines.core.lock import store_lock
from pipelines.core.paths import STORE
from pipelines.core.stage import ServerAway, log, without_secrets
from pipelines.core.tracking_uri import tracking_uri
from pipelines.registry import comparison_view, place

Client = mlflow.MlflowClient  # for the annotations of rooms that do not import MLflow
EXPERIMENT = place.EXPERIMENT
KEY = "run_key"


def connect() -> mlflow.MlflowClient:
    """Points MLflow at the store and makes the experiment, one process at a time: a fresh SQLite store breaks
    when several initialise it together.

    Raises:
        ServerAway: the server of MLFLOW_TRACKING_URI does not answer.
        ValueError: that variable holds no address.
    """
    STORE.mkdir(mode=0o700, exist_ok=True)
    own = place.database_uri()
    uri = tracking_uri() or own
    mlflow.set_tracking_uri(uri)
    with store_lock("init"):
        if uri == own and (before := place.correct_place()):
            log.info("MLflow's store came from %s: it now names this project's folder", before)
        try:
            client = mlflow.MlflowClient()  # this alone creates the tables of a fresh store
            if (experiment := client.get_experiment_by_name(EXPERIMENT)) is None:
                location = place.artifacts_uri() if uri == own else None
                tags = {comparison_view.TAG: comparison_view.SAVED}
                client.create_experiment(EXPERIMENT, artifact_location=location, tags=tags)
            elif comparison_view.is_outdated(experiment.tags.get(comparison_view.TAG)):
                client.set_experiment_tag(experiment.experiment_id, comparison_view.TAG, comparison_view.SAVED)
            client.search_registered_models(max_results=1)  # the registry's tables, too
        except MlflowException as error:
            raise ServerAway(  # MLflow's own text may hold the address with its password: it stays in the chain
                f"the MLflow store {without_secrets(uri)} cannot be used; "
                "start the server, or unset MLFLOW_TRACKING_URI to use .mlflow/ here"
            ) from error
    return client


@contextmanager
def answering() -> Iterator[None]:
    """Turns MLflow's errors inside the block into ServerAway."""
    try:
        yield
    except MlflowException as error:
        raise ServerAway(f"the MLflow store failed ({error.error_code}); check that it runs") from error


def experiment_id(client: mlflow.MlflowClient) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None, "connect() made it"
    return str(experiment.experiment_id)


def find_run(client: mlflow.MlflowClient, key: str) -> Run | None:
    """The run with that key; None where this store does not have it: made on another store, or deleted."""
    found = client.search_runs([experiment_id(client)], filter_string=f"tags.{KEY} = '{key}'", max_results=1)
    return found[0] if found else None


def run_of(client: mlflow.MlflowClient, key: str, *, name: str, start: int, tags: Mapping[str, str]) -> Run:
    """The one run of a key, made where it is not there yet: a second attempt after a lost answer finds the first."""
    with store_lock("runs"):
        return find_run(client, key) or client.create_run(
            experiment_id(client), start_time=start, run_name=name, tags={**tags, KEY: key}
        )
