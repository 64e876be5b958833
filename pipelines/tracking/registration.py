"""A journalled checkpoint into the registry, verified on its way.

A version is made, and an alias moved, only after all it points at is uploaded and verified: a kill at any point leaves
the champion as it was. No PyTorch here: the process that uploads a run to MLflow would spend seconds on its import.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from fastflow.files import folder_sha256
from pipelines.core.lock import store_lock
from pipelines.core.paths import RUN, model_name
from pipelines.registry.aliases import CHALLENGER, CHAMPION, alias, versions
from pipelines.registry.registered import CONTENT, verified_checkpoint, write_model
from pipelines.tracking.journal import Entry


def register(client: mlflow.MlflowClient, run_id: str, folder: Path, entry: Entry) -> str:
    """The version of a journalled checkpoint, and its alias `challenger`. Equal content is one version, however often
    it is evaluated; its tags become those of the last evaluation.

    Raises:
        Untrusted: what the store returns is not what was sent; nothing is registered.
    """
    name, checkpoint = model_name(entry["category"]), folder / entry["source"]
    digest = folder_sha256(checkpoint)
    tags = entry["tags"] | {CONTENT: digest}
    with store_lock("registry"):
        if version := _of_content(versions(client, name), digest):
            for key, value in tags.items():
                client.set_model_version_tag(name, version.version, key, value)
            client.update_model_version(name, version.version, description=entry["description"])
        else:
            source = _upload(client, run_id, checkpoint, entry["example"], digest)
            _verify(source, digest)
            _make_model(client, entry["category"])
            card = entry["description"]
            version = client.create_model_version(name, source, run_id=run_id, tags=tags, description=card)
        if alias(client, name, CHAMPION) != str(version.version):
            client.set_registered_model_alias(name, CHALLENGER, version.version)
    return str(version.version)


def version_of(known: Iterable[ModelVersion], folder: Path) -> str | None:
    """The version with the same content as a trained model's folder has now; None where there is none."""
    found = _of_content(known, folder_sha256(folder, without=(RUN,)))
    return str(found.version) if found else None


def _of_content(known: Iterable[ModelVersion], digest: str) -> ModelVersion | None:
    return next((version for version in known if version.tags.get(CONTENT) == digest), None)


def _upload(client: mlflow.MlflowClient, run_id: str, checkpoint: Path, example: str, digest: str) -> str:
    """To an artifact path named by the content: no upload overwrites another."""
    place = f"model-{digest[:8]}"
    with tempfile.TemporaryDirectory() as scratch:
        write_model(checkpoint, Path(scratch) / place, example=example)
        client.log_artifacts(run_id, str(Path(scratch) / place), artifact_path=place)
    return f"{client.get_run(run_id).info.artifact_uri}/{place}"


def _make_model(client: mlflow.MlflowClient, category: str) -> None:
    about = (
        f"Finds defects in photographs of **{category}**. One version a training and threshold, its card beside it. "
        "`champion` is served, `previous` was champion before, `challenger` is the newest that was evaluated. "
        "The tag `gate` says what was decided on a version, and why."
    )
    try:
        client.create_registered_model(model_name(category), description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _verify(source: str, digest: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=scratch)
        verified_checkpoint(Path(folder), sha256=digest)
