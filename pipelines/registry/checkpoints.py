"""A trained model by its name: a category, a folder, or a version in the registry; verified before it is used."""

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mlflow
from mlflow.entities.model_registry import ModelVersion

from fastflow.sealed import read_config, weights_id
from pipelines.core.paths import MODEL_ID, model_name
from pipelines.core.training_files import run_key_in
from pipelines.registry import aliases, store
from pipelines.registry.aliases import files_of, get_version
from pipelines.registry.folders import folder_of
from pipelines.registry.registered import CONTENT, SIGNED, Untrusted, verified_checkpoint

if TYPE_CHECKING:
    from fastflow.trained import TrainedDetector

_REGISTERED = re.compile(r"models:/fastflow-(?P<category>.+?)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))$")


class Named(NamedTuple):
    """A checkpoint folder, and the model's name in score files: `version`, or `weights` where it is opened as a folder;
    `about` is its config.json, read once: a folder that is replaced meanwhile is not opened under the old name."""

    folder: Path
    category: str
    version: str
    weights: str
    about: Mapping[str, Any]

    @property
    def run_key(self) -> str:
        """Of the run that trained it; empty for a version. To be read before work that takes long: a folder that was
        replaced since is refused. Raises BadCheckpoint."""
        return run_key_in(self.folder, self.about)

    def open(self) -> "TrainedDetector":
        """Raises BadCheckpoint."""
        from fastflow.trained import TrainedDetector  # PyTorch: not every caller scores

        return TrainedDetector.described(self.folder, self.about, category=self.category, version=self.version)


@contextmanager
def checkpoint_of(source: str, *, sha256: str = "") -> Iterator[Named]:
    """The checkpoint of `bottle`, `models/bottle` or another folder, `models:/fastflow-bottle@champion`, or
    `models:/fastflow-bottle/3`; one of the registry exists until the block ends. `sha256`: of its config.json, where
    that is known.

    Raises:
        ValueError: there is no such version, or the name has another form.
        Untrusted, BadCheckpoint: its files are not those that were written, or differ from the known hash.
        ServerAway: the store does not answer.
    """
    if not source.startswith("models:"):
        folder = folder_of(source)
        about = read_config(folder, sha256=sha256)
        yield Named(folder, about.get("category", ""), weights_id(about), weights_id(about), about)
        return
    found = _REGISTERED.match(source)
    if not found:
        raise ValueError(f"{source!r} is no registered model; such as models:/fastflow-bottle@champion")
    with tempfile.TemporaryDirectory() as scratch:
        version = registered_version(found["category"], alias=found["alias"], version=found["version"])
        client = store.connect()
        with store.answering():
            made = get_version(client, found["category"], version)
            here = download(client, made, Path(scratch))
        content, signature = made.tags.get(CONTENT, "unknown"), made.tags.get(SIGNED, "")
        checkpoint = verified_checkpoint(here, sha256=content, signature=signature)
        about, signed = read_config(checkpoint, sha256=sha256), f"{made.name}/{made.version}"
        require_category(about.get("category", ""), found["category"], signed)
        yield Named(checkpoint, found["category"], signed, weights_id(about), about)


def require_category(own: str, registered: str, version: str) -> None:
    """Raises Untrusted where a version holds the model of another category than that of its name."""
    if own and own != registered:
        raise Untrusted(f"{version} holds a model of {own}, not of {registered}: refused; train and register again")


def require_own(found: str, category: str, categories: Collection[str], *, model: str, cure: str = "") -> None:
    """Raises ValueError where a `model` that was named for a category is of another one of the project's: `found`. A
    model of a name that is no category's may be of any."""
    if found != category and found in categories:
        cure = cure or f"name a model of {category}, or {found}"
        raise ValueError(f"{model} is a model of {found}, not of {category}; {cure}")


def registered_version(category: str, *, alias: str | None, version: str | None = None) -> str:
    """The number of a version, given as such or by its alias. Raises ValueError, ServerAway."""
    if version:
        return version
    client = store.connect()
    with store.answering():
        found = aliases.alias(client, model_name(category), str(alias))
    if found is None:
        raise ValueError(f"{model_name(category)} has no version with the alias {alias!r}; train and promote one first")
    return found


def download(client: mlflow.MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """A version's model folder, below `folder`; not verified yet. Raises Untrusted where it is missing."""
    source = files_of(client, version)
    if source is None:
        raise Untrusted(f"{version.name} version {version.version}: its files are gone from the store; restore them")
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(folder)))


def version_for_scores(category: str, signed: str) -> str:
    """The registered version that a score file's model name means, by its own name or its `weights_id`; empty
    where there is none.

    Raises:
        ServerAway: the store does not answer.
    """
    name = signed.partition(" ")[0]  # an export's ends with its format
    client = store.connect()
    with store.answering():
        known = aliases.versions(client, model_name(category))
    found = (v for v in known if name in (f"{v.name}/{v.version}", v.tags.get(MODEL_ID)))
    return next((f"models:/{version.name}/{version.version}" for version in found), "")
