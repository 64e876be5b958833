"""A model registry in memory: what `MlflowClient` does with names, versions, aliases and tags, and all changes of it.
Quick enough to stop it at every call; tests with a real store stand beside."""

from types import SimpleNamespace
from typing import Any, cast

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList


class Killed(BaseException):
    """The process that changed the registry is no more."""


class Registry:
    """`changes`: each call that changed something, with what it was given. `calls_left`: changes until it is killed."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.changes: list[tuple[str, ...]] = []
        self.calls_left: int | None = None

    @property
    def client(self) -> mlflow.MlflowClient:
        return cast(mlflow.MlflowClient, self)

    def add(self, name: str, count: int) -> None:
        """A model with versions 1 to `count`, each of a run `run<number>`."""
        made = self.models[name] = SimpleNamespace(name=name, aliases={}, tags={}, versions={})
        for number in map(str, range(1, count + 1)):
            run = SimpleNamespace(info=SimpleNamespace(status="FINISHED", lifecycle_stage="active"), tags={}, files=[])
            self.runs[f"run{number}"] = run
            made.versions[number] = SimpleNamespace(
                name=name, version=number, tags={}, run_id=f"run{number}", creation_timestamp=1000 * int(number)
            )

    def _change(self, *call: str) -> None:
        if self.calls_left == 0:
            raise Killed
        self.calls_left = None if self.calls_left is None else self.calls_left - 1
        self.changes.append(call)

    def get_model_version(self, name: str, version: str) -> Any:
        if not version.isdigit():
            raise MlflowException("no number", error_code=INVALID_PARAMETER_VALUE)
        if name not in self.models or version not in self.models[name].versions:
            raise MlflowException("no such version", error_code=RESOURCE_DOES_NOT_EXIST)
        return self.models[name].versions[version]

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        if name not in self.models:
            raise MlflowException("no such model", error_code=RESOURCE_DOES_NOT_EXIST)
        if alias not in self.models[name].aliases:
            raise MlflowException("no such alias", error_code=INVALID_PARAMETER_VALUE)
        return self.get_model_version(name, self.models[name].aliases[alias])

    def get_registered_model(self, name: str) -> Any:
        return self.models[name]

    def get_run(self, run_id: str) -> Any:
        if run_id not in self.runs:
            raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)
        return self.runs[run_id]

    def search_model_versions(self, query: str, page_token: str | None = None) -> PagedList[Any]:
        """Two a page, in no order."""
        found = self.models[query.split("'")[1]].versions if query.split("'")[1] in self.models else {}
        return _page(sorted(found.values(), key=lambda one: str(one.version)), page_token)

    def search_registered_models(self, query: str, max_results: int, page_token: str | None = None) -> PagedList[Any]:
        prefix = query.removeprefix("name LIKE '").removesuffix("%'")
        assert max_results <= 1000, "MLflow allows no more"
        return _page([one for name, one in self.models.items() if name.startswith(prefix)], page_token)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._change("alias", alias, version)
        self.models[name].aliases[alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._change("no alias", alias)
        del self.models[name].aliases[alias]

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._change("tag", version, key, value)
        self.models[name].versions[version].tags[key] = value

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._change("model tag", key, value)
        self.models[name].tags[key] = value

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._change("run tag", run_id, key, value)

    def log_artifact(self, run_id: str, path: str, artifact_path: str) -> None:
        self._change("file", run_id, path, artifact_path)

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        return f"files of {name}/{version}"


def _page(found: list[Any], token: str | None) -> PagedList[Any]:
    start = int(token or 0)
    return PagedList(found[start : start + 2], str(start + 2) if start + 2 < len(found) else None)
