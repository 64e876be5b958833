"""One journal to its MLflow run, entry by entry. Each step may be repeated: nothing is stored twice.

Runs are found by their key, metrics carry the journal's own time and step (the store keeps equal ones once), tags,
parameters and files overwrite themselves, and a model that is registered already is found by its content's hash.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipelines.registry import store
from pipelines.tracking import journal, registration
from pipelines.tracking.journal import Entry

_BATCH_SIZE = 500  # entities per request; MLflow allows 1000, of which 100 parameters and 100 tags
_SMALL_BATCH_SIZE = 90


class Replay:
    """Sends one journal. `advance` sends what is new in it; `done` once its last entry is sent."""

    def __init__(self, client: mlflow.MlflowClient, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.done = False
        self.result: Entry = {}
        self._sent = 0

    def advance(self) -> None:
        """Sends entries that are not sent yet. A writer that died without a last entry was killed.

        Raises:
            MlflowException: the store refuses, or is away; call again later.
        """
        lives = journal.writer_is_alive(self.folder)  # before reading: what a dead writer wrote is all there
        entries = journal.read(self.folder)
        if not lives and entries[-1]["op"] != "end":
            last = max(e.get("time", 0) for e in entries)
            entries += [{"op": "tags", "values": {"ended_by": "killed without a word (SIGKILL, out of memory, power)"}}]
            entries += [{"op": "end", "status": "KILLED", "time": last}]
        todo = entries[self._sent :]
        while todo:
            together = _equal_kind(todo)
            self._send(together)
            self._sent += len(together)
            todo = todo[len(together) :]
        self.done = entries[-1]["op"] == "end"

    def _send(self, entries: list[Entry]) -> None:
        first = entries[0]
        match first["op"]:
            case "run":
                self._open(first)
            case "params":
                self._batches("params", [Param(k, v) for e in entries for k, v in e["values"].items()])
            case "tags":
                self._batches("tags", [RunTag(k, v) for e in entries for k, v in e["values"].items()])
            case "metrics":
                found = [Metric(k, v, e["time"], e["step"]) for e in entries for k, v in e["values"].items()]
                self._batches("metrics", found)
            case "files":
                source = journal.kept(self.folder, first)
                self.client.log_artifacts(self.run_id, str(source), artifact_path=first["under"])
            case "dataset":
                self.client.log_inputs(self.run_id, datasets=[_dataset(first)])
            case "model":
                journal.kept(self.folder, first)
                self.result["version"] = registration.register(self.client, self.run_id, self.folder, first)
            case "end":
                self.client.set_terminated(self.run_id, first["status"], end_time=first["time"])
            case unknown:
                raise AssertionError(f"{self.folder}: entry {unknown!r}")

    def _open(self, header: Entry) -> None:
        tags = header["tags"]
        if header.get("parent"):
            tags = tags | {MLFLOW_PARENT_RUN_ID: self._parent(header).info.run_id}
        known = store.find_run(self.client, header["key"])
        run = known or store.run_of(self.client, header["key"], name=header["name"], start=header["time"], tags=tags)
        self.result |= {"run_id": run.info.run_id, "experiment_id": run.info.experiment_id}
        if known and header.get("continued"):
            self.client.update_run(self.run_id, status="RUNNING")
        elif known:  # begun by a child that came first, or by an attempt whose answer was lost
            self._batches("tags", [RunTag(k, v) for k, v in tags.items()])

    def _parent(self, header: Entry) -> Run:
        parent = header["parent"]
        return store.run_of(self.client, parent["key"], name=parent["name"], start=header["time"], tags={})

    def _batches(self, kind: str, entities: Sequence[Metric | Param | RunTag]) -> None:
        size = _BATCH_SIZE if kind == "metrics" else _SMALL_BATCH_SIZE
        for first in range(0, len(entities), size):
            batch: dict[str, Any] = {kind: entities[first : first + size]}
            self.client.log_batch(self.run_id, **batch)

    @property
    def run_id(self) -> str:
        return str(self.result["run_id"])


def _equal_kind(entries: list[Entry]) -> list[Entry]:
    """The first entry, with those after it that can go in the same request."""
    op, count = entries[0]["op"], 1
    if op in ("params", "tags", "metrics"):
        while count < len(entries) and entries[count]["op"] == op:
            count += 1
    return entries[:count]


def _dataset(entry: Entry) -> DatasetInput:
    dataset = Dataset(
        name=entry["name"],
        digest=entry["digest"][:36],  # MLflow allows no more; DVC's are md5 with `.dir`, 36
        source_type="dvc",
        source=entry["source"],
        profile=f'{{"num_rows": {entry["rows"]}}}',
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", entry["context"])])
