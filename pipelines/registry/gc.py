"""Delete registered versions that are not needed: all but champion, previous, challenger, the best earlier champions,
to which the gate holds the next one, and the newest --keep.

Run as: fastflow gc bottle --keep 5 --dry-run        (without --category: all of params.yaml)

The runs stay, with their figures and pictures; the version and its weights are deleted.
"""

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from pipelines.core.names import counted
from pipelines.core.paths import model_name
from pipelines.core.stage import log
from pipelines.registry import aliases, store
from pipelines.registry.best import read_best

DELETING = "model_being_deleted"  # tag of a run: the next gc finishes one that was killed
KEPT_ALIASES = (aliases.CHAMPION, aliases.PREVIOUS, aliases.CHALLENGER)


def gc(category: str, *, keep: int, dry_run: bool) -> int:
    """Returns the bytes freed, or that would be.

    Raises:
        ValueError: `keep` is negative.
        ServerAway: the store does not answer.
    """
    if keep < 0:
        raise ValueError(f"--keep is {keep}; allowed: 0 or more")
    client = store.connect()
    with store.answering():
        name = model_name(category)
        if not dry_run:
            _finish_deletions(client, name)
        aliased = {aliases.alias(client, name, which) for which in KEPT_ALIASES}
        made = aliases.versions(client, name)
        best = set(read_best(client, category).versions()) if made else set()
        kept = {str(v.version) for v in made[:keep]} | aliased | best & {str(v.version) for v in made}
        freed = 0
        for version in made:
            if str(version.version) not in kept:
                size = size_of(str(version.source))
                freed += size
                log.info("%s version %s: %.1f MB", name, version.version, size / 1e6)
                if not dry_run:
                    _delete(client, version)
    outcome, rest = "would be deleted" if dry_run else "deleted", counted(len(kept - {None}), "version")
    log.info("%s: %.1f MB %s; %s kept", name, freed / 1e6, outcome, rest)
    return freed


def size_of(address: str) -> int:
    """Bytes below an artifact address; 0 where nothing is left."""
    try:
        repository = get_artifact_repository(address)
        todo, total = [""], 0
        while todo:
            for entry in repository.list_artifacts(todo.pop() or None):
                if entry.is_dir:
                    todo.append(entry.path)
                else:
                    total += entry.file_size or 0
    except (MlflowException, OSError):
        return 0
    return total


def _delete(client: mlflow.MlflowClient, version: ModelVersion) -> None:
    """First the version, so that the registry never names files that are gone."""
    run_id, source = str(version.run_id), str(version.source)
    client.set_tag(run_id, DELETING, f"{version.name} {source}")
    client.delete_model_version(version.name, version.version)
    _delete_files(client, run_id, source)


def _delete_files(client: mlflow.MlflowClient, run_id: str, source: str) -> None:
    get_artifact_repository(source).delete_artifacts("")  # type: ignore[no-untyped-call]
    client.delete_tag(run_id, DELETING)


def _finish_deletions(client: mlflow.MlflowClient, name: str) -> None:
    found = client.search_runs([store.experiment_id(client)], filter_string=f"tags.{DELETING} LIKE '{name} %'")
    still_named = {str(v.source) for v in aliases.versions(client, name)}
    for run in found:
        source = run.data.tags[DELETING].partition(" ")[2]
        if source in still_named:  # killed before the version went
            client.delete_tag(run.info.run_id, DELETING)
        else:
            _delete_files(client, run.info.run_id, source)
