"""Names, versions and aliases in the model registry, without loading any model: quick enough for a rollback.

One registered model a category, `fastflow-<category>`, one version a training. `champion` is served, `challenger` is
the newest that was evaluated, `previous` was champion before. The champion's alias always moves last.
A version that a rollback withdrew has a tag for it, until it is champion again.
"""

from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.core.lock import store_lock
from pipelines.core.paths import model_name

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ROLLED_BACK_TAG = "rolled_back"


def get_version(client: mlflow.MlflowClient, category: str, version: str) -> ModelVersion:
    """A version by its number. Raises ValueError if there is none."""
    name = model_name(category)
    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = ", ".join(str(v.version) for v in versions(client, name))
        raise ValueError(f"{name} has no version {version}; there are: {known or 'none'}") from error


def files_of(client: mlflow.MlflowClient, version: ModelVersion) -> str | None:
    """Where a version's files are; None where they are missing. Raises where the store is unavailable."""
    source = str(client.get_model_version_download_uri(version.name, version.version))
    return source if mlflow.artifacts.list_artifacts(artifact_uri=source) else None


def run_status(client: mlflow.MlflowClient, version: ModelVersion) -> str:
    """FINISHED, FAILED, KILLED or RUNNING; `gone` where the store has no such run."""
    try:
        run = client.get_run(str(version.run_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return "gone"
    return str(run.info.status) if run.info.lifecycle_stage == "active" else "gone"


def annotate(
    client: mlflow.MlflowClient, category: str, version: str, tags: Mapping[str, str], files: Mapping[Path, str]
) -> None:
    """Sets tags of a version, and logs files, each to its folder of the run's artifacts, if the store has the run."""
    made = get_version(client, category, version)
    for key, value in tags.items():
        client.set_model_version_tag(made.name, made.version, key, value)
    if run_status(client, made) != "gone":
        for file, folder in files.items():
            client.log_artifact(made.run_id, str(file), artifact_path=folder)


def versions(client: mlflow.MlflowClient, name: str) -> list[ModelVersion]:
    """All versions, newest first."""
    found: list[ModelVersion] = []
    page: str | None = None
    while True:
        part = client.search_model_versions(f"name = '{name}'", page_token=page)
        found += part
        page = part.token
        if not page:
            return sorted(found, key=lambda v: -int(v.version))


def alias(client: mlflow.MlflowClient, name: str, which: str) -> str | None:
    """The version that an alias points to; None where it does not exist."""
    try:
        return str(client.get_model_version_by_alias(name, which).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def crown(client: mlflow.MlflowClient, category: str, version: str) -> str | None:
    """Makes a version champion; the one before becomes `previous`, and is returned. The champion's alias is the last
    thing to move."""
    name = model_name(category)
    with store_lock("registry"):
        before = alias(client, name, CHAMPION)
        if before == version:
            return before
        if before is not None:
            client.set_registered_model_alias(name, PREVIOUS, before)
        client.set_registered_model_alias(name, CHAMPION, version)
        client.set_model_version_tag(name, version, ROLLED_BACK_TAG, "false")
        if alias(client, name, CHALLENGER) == version:
            client.delete_registered_model_alias(name, CHALLENGER)
    return before


def step_back(client: mlflow.MlflowClient, category: str) -> tuple[str, str | None]:
    """Makes `previous` champion, then the former champion `previous`; returns the champion and the former one.

    Raises:
        ValueError: there is no other version to go back to, or its files are gone.
    """
    name = model_name(category)
    with store_lock("registry"):
        now, before = alias(client, name, CHAMPION), alias(client, name, PREVIOUS)
        if before is None or before == now:
            raise ValueError(
                f"{name} has no previous champion; {f'version {now} is champion' if now else 'there is no champion'}"
            )
        if files_of(client, get_version(client, category, before)) is None:
            raise ValueError(f"{name} version {before} has lost its files: version {now} stays champion; restore them")
        client.set_registered_model_alias(name, CHAMPION, before)
        client.set_model_version_tag(name, before, ROLLED_BACK_TAG, "false")
        if now is not None:
            client.set_registered_model_alias(name, PREVIOUS, now)
            client.set_model_version_tag(name, now, ROLLED_BACK_TAG, "true")
    return before, now
