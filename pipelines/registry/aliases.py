"""Names, versions and aliases in the model registry, without loading any model: quick enough for a rollback.

One registered model a category, `fastflow-<category>`, one version a training. `champion` is served, `challenger` is
the newest that was evaluated, `previous` was champion before. The champion's alias always moves last.
A version that a rollback withdrew says so in its tag, until it is champion again.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.core.lock import store_lock
from pipelines.core.paths import model_name
from pipelines.registry.paging import all_pages

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
VERDICT = "gate"
"""The tag of a version with what became of it: a verdict and why, behind `WITHDRAWN` after a rollback."""
WITHDRAWN = "rolled back: "


class ChampionChanged(Exception):
    """Another version than the one compared with is champion: `champion`, or none."""

    def __init__(self, champion: str | None) -> None:
        super().__init__(champion)
        self.champion = champion


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


def file_of_run(client: mlflow.MlflowClient, version: ModelVersion, path: str) -> bytes | None:
    """A file among the artifacts of a version's run; None where the store has no such run or file."""
    run, folder = str(version.run_id), str(PurePosixPath(path).parent)
    if run_status(client, version) == "gone" or path not in {one.path for one in client.list_artifacts(run, folder)}:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return Path(client.download_artifacts(run, path, scratch)).read_bytes()


def annotate(
    client: mlflow.MlflowClient, category: str, version: str, tags: Mapping[str, str], files: Mapping[Path, str]
) -> None:
    """Sets tags of a version's run, and logs files, each to its folder of the artifacts, if the store has the run."""
    made = get_version(client, category, version)
    if run_status(client, made) == "gone":
        return
    for key, value in tags.items():
        client.set_tag(str(made.run_id), key, value)
    for file, folder in files.items():
        client.log_artifact(made.run_id, str(file), artifact_path=folder)


def versions(client: mlflow.MlflowClient, name: str) -> list[ModelVersion]:
    """All versions, newest first."""
    found = all_pages(lambda token: client.search_model_versions(f"name = '{name}'", page_token=token))
    return sorted(found, key=lambda v: -int(v.version))


def alias(client: mlflow.MlflowClient, name: str, which: str) -> str | None:
    """The version that an alias points to; None where it does not exist."""
    try:
        return str(client.get_model_version_by_alias(name, which).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def is_withdrawn(version: ModelVersion) -> bool:
    """Whether a rollback took it from the line, and nobody named it since."""
    return bool(version.tags.get(VERDICT, "").startswith(WITHDRAWN))


def _mark_withdrawn(client: mlflow.MlflowClient, name: str, version: str, *, withdrawn: bool) -> None:
    said = client.get_model_version(name, version).tags.get(VERDICT, "")
    text = WITHDRAWN * withdrawn + said.removeprefix(WITHDRAWN)
    if text != said:
        client.set_model_version_tag(name, version, VERDICT, text)


def crown(client: mlflow.MlflowClient, category: str, version: str) -> str | None:
    """Makes a version champion; the one before becomes `previous`, and is returned. The champion's alias is the last
    thing to move."""
    with store_lock("registry"):
        before = alias(client, model_name(category), CHAMPION)
        _crown(client, model_name(category), version, before)
    return before


def replace_champion(client: mlflow.MlflowClient, category: str, version: str, *, champion: str | None) -> None:
    """As `crown`, only where `champion` is champion still: compared while no other process of this project may move it.

    MLflow itself cannot compare and set: of two machines that promote in the same instant the later one wins.

    Raises:
        ChampionChanged: another version is champion; nothing was moved.
    """
    with store_lock("registry"):
        now = alias(client, model_name(category), CHAMPION)
        if now != champion:
            raise ChampionChanged(now)
        _crown(client, model_name(category), version, now)


def _crown(client: mlflow.MlflowClient, name: str, version: str, before: str | None) -> None:
    """Under the registry's lock. Done again after a kill in between, it completes what is left."""
    _mark_withdrawn(client, name, version, withdrawn=False)
    if before != version:
        if before is not None:
            client.set_registered_model_alias(name, PREVIOUS, before)
        client.set_registered_model_alias(name, CHAMPION, version)
    if alias(client, name, CHALLENGER) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


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
        if now is not None:  # first: after a kill in between, no night takes the withdrawn one again
            _mark_withdrawn(client, name, now, withdrawn=True)
        client.set_registered_model_alias(name, CHAMPION, before)
        _mark_withdrawn(client, name, before, withdrawn=False)
        if now is not None:
            client.set_registered_model_alias(name, PREVIOUS, now)
    return before, now
