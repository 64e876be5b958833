"""What one journal sends to the store, request by request, and what is not sent again after a refusal."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from fastflow.errors import BadData
from pipelines.registry import store
from pipelines.tracking import registration
from pipelines.tracking.journal import Journal
from pipelines.tracking.replay import Replay
from pipelines.tracking.uploader import is_permanent

pytestmark = pytest.mark.usefixtures("folder")


class Store:
    """Keeps each request; the `refused`-th one fails as if the server were away."""

    def __init__(self, *known: str) -> None:
        self.known, self.requests, self.refused = {key: self.run(key) for key in known}, list[tuple[Any, ...]](), -1

    @staticmethod
    def run(key: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run of {key}", experiment_id="7"))

    def keep(self, *request: Any) -> None:
        if len(self.requests) == self.refused:
            self.refused = -1
            raise MlflowException("the server is away")
        self.requests.append(request)

    def find_run(self, client: object, key: str) -> Any:
        assert client is self
        return self.known.get(key)

    def run_of(self, client: object, key: str, *, name: str, start: int, tags: dict[str, str]) -> Any:
        assert client is self
        self.keep("run", key, name, start, tags)
        return self.known.setdefault(key, self.run(key))

    def log_batch(self, run_id: str, **entities: Any) -> None:
        ((kind, found),) = entities.items()
        self.keep(kind, run_id, [tuple(vars(one).values()) for one in found])

    def log_artifacts(self, run_id: str, folder: str, artifact_path: str) -> None:
        self.keep("files", run_id, folder, artifact_path)

    def log_inputs(self, run_id: str, datasets: list[Any]) -> None:
        self.keep("dataset", run_id, [one.to_dictionary() for one in datasets])

    def update_run(self, run_id: str, status: str) -> None:
        self.keep("status", run_id, status)

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.keep("end", run_id, status, end_time)

    def of(self, kind: str) -> list[list[Any]]:
        return [rest for name, *rest in self.requests if name == kind]


Connect = Callable[..., tuple[Store, Replay]]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A store that knows the runs of some keys, and the replay of a journal to it."""

    def connected(folder: Path, *known: str) -> tuple[Store, Replay]:
        made = Store(*known)
        monkeypatch.setattr(store, "find_run", made.find_run)
        monkeypatch.setattr(store, "run_of", made.run_of)
        return made, Replay(cast(mlflow.MlflowClient, made), folder)

    return connected


def begin(**header: Any) -> Journal:
    return Journal("a", **({"key": "k", "name": "n", "time": 5, "tags": {"category": "plates"}} | header))


def test_a_journal_becomes_these_requests_and_no_others(connect: Connect) -> None:
    made = begin()
    made.add("params", values={"epochs": 3, "rate": 0.1})
    made.add("tags", values={"seed": "0"})
    made.add("tags", values={"note": "x"})
    made.add("metrics", values={"loss": 1.5, "nll": 2.0}, time=10, step=1)
    made.add("metrics", values={"loss": 1.25}, time=20, step=2)
    made.add("files", source="files/0", under="report")
    made.add("dataset", name="d", digest="0123456789" * 4, source="data/d", rows=3, context="training")
    made.close(status="FINISHED")
    sent, replay = connect(made.folder)
    assert not replay.done
    replay.advance()
    assert replay.done
    assert replay.result == {"run_id": "run of k", "experiment_id": "7"}
    end = sent.requests.pop()
    assert (end[0], end[1], end[2]) == ("end", "run of k", "FINISHED")
    assert end[3] > 1_700_000_000_000
    assert sent.of("run") == [["k", "n", 5, {"category": "plates"}]]
    assert sent.of("params") == [["run of k", [("epochs", 3), ("rate", 0.1)]]]
    assert sent.of("tags") == [["run of k", [("seed", "0"), ("note", "x")]]]
    ((run, metrics),) = sent.of("metrics")
    assert (run, [one[:4] for one in metrics]) == (
        "run of k", [("loss", 1.5, 10, 1), ("nll", 2.0, 10, 1), ("loss", 1.25, 20, 2)],
    )  # fmt: skip
    assert sent.of("files") == [["run of k", str(made.folder / "files/0"), "report"]]
    ((_, (dataset,)),) = sent.of("dataset")
    assert dataset["dataset"] == {
        "name": "d", "digest": "012345678901234567890123456789012345", "source_type": "dvc", "source": "data/d",
        "schema": None, "profile": '{"num_rows": 3}',
    }  # fmt: skip
    assert dataset["tags"] == {"mlflow.data.context": "training"}
    assert [request[0] for request in sent.requests] == ["run", "params", "tags", "metrics", "files", "dataset"]


@pytest.mark.parametrize(("kind", "size"), [("params", 90), ("tags", 90), ("metrics", 500)])
def test_no_request_holds_more_than_the_store_allows(connect: Connect, kind: str, size: int) -> None:
    """MLflow allows 1000 entities, of which 100 parameters and 100 tags."""
    made = begin()
    more = {"time": 1, "step": 0} if kind == "metrics" else {}
    for start in range(0, 2 * size + 1, 7):
        made.add(kind, values={f"n{i}": i for i in range(start, min(start + 7, 2 * size + 1))}, **more)
    made.close(status="FINISHED")
    sent, replay = connect(made.folder)
    replay.advance()
    batches = [entities for _, entities in sent.of(kind)]
    assert [len(one) for one in batches] == [size, size, 1]
    assert [one[0] for batch in batches for one in batch] == [f"n{i}" for i in range(2 * size + 1)]


def test_what_was_sent_is_not_sent_again(connect: Connect) -> None:
    made = begin()
    sent, replay = connect(made.folder)
    replay.advance()
    assert (replay.done, len(sent.requests)) == (False, 1)
    made.add("params", values={"epochs": 3})
    made.add("tags", values={"seed": "0"})
    made.add("tags", values={"more": "1"})
    sent.refused = 2
    with pytest.raises(MlflowException):
        replay.advance()
    assert [request[0] for request in sent.requests] == ["run", "params"]
    replay.advance()
    assert [request[0] for request in sent.requests] == ["run", "params", "tags"]
    assert sent.of("tags") == [["run of k", [("seed", "0"), ("more", "1")]]]
    replay.advance()
    assert len(sent.requests) == 3
    made.close(status="FAILED")
    replay.advance()
    assert (replay.done, sent.requests[-1][:3]) == (True, ("end", "run of k", "FAILED"))


def test_a_writer_that_died_without_a_word_was_killed_at_its_last_entry(connect: Connect) -> None:
    made = begin(time=50)
    made.add("metrics", values={"loss": 1.0}, time=70, step=1)
    made.add("metrics", values={"loss": 1.0}, time=60, step=2)
    made.add("params", values={"epochs": 3})
    made._alive.close()
    sent, replay = connect(made.folder)
    replay.advance()
    ((_, ((tag, words),)),) = sent.of("tags")
    assert (tag, words.partition(" ")[0]) == ("ended_by", "killed")
    assert sent.requests[-1] == ("end", "run of k", "KILLED", 70)
    assert replay.done


def test_a_run_that_is_known_gets_its_tags_or_goes_on(connect: Connect) -> None:
    first, again = begin(), begin(continued=True)
    for one in (first, again):
        one.close(status="FINISHED")
    sent, replay = connect(first.folder, "k")
    replay.advance()
    assert sent.requests[0] == ("tags", "run of k", [("category", "plates")])
    sent, replay = connect(again.folder, "k")
    replay.advance()
    assert sent.requests[0] == ("status", "run of k", "RUNNING")
    assert sent.of("tags") == sent.of("run") == []
    sent, replay = connect(again.folder)  # the store does not know the run that it goes on with
    replay.advance()
    assert sent.requests[0] == ("run", "k", "n", 5, {"category": "plates"})
    assert sent.of("status") == []


def test_a_child_names_its_parent_which_is_made_first(connect: Connect) -> None:
    made = begin(parent={"key": "p", "name": "a night"})
    made.close(status="FINISHED")
    sent, replay = connect(made.folder)
    replay.advance()
    assert sent.of("run") == [
        ["p", "a night", 5, {}],
        ["k", "n", 5, {"category": "plates", "mlflow.parentRunId": "run of p"}],
    ]


def test_a_models_version_is_in_the_result(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    made = begin()
    made.add("model", category="plates", source="files/0/plates")
    made.close(status="FINISHED")
    sent, replay = connect(made.folder)

    def register(*given: Any) -> str:
        assert given == (
            sent,
            "run of k",
            made.folder,
            {"op": "model", "category": "plates", "source": "files/0/plates"},
        )
        return "3"

    monkeypatch.setattr(registration, "register", register)
    replay.advance()
    assert replay.result == {"run_id": "run of k", "experiment_id": "7", "version": "3"}


@pytest.mark.parametrize("op", ["files", "model"])
@pytest.mark.parametrize("source", ["../../../secret", "files/../../../../secret", "files/0", "/{folder}/secret", ""])
def test_only_what_lies_in_the_journal_is_sent(connect: Connect, folder: Path, op: str, source: str) -> None:
    """A journal may come from a backup that somebody else has made."""
    (folder / "secret").mkdir()
    (folder / "secret/key").write_text("private")
    made = begin()
    (made.folder / "files/0").mkdir()
    (made.folder / "files/0/link").symlink_to(folder / "secret")
    made.add(op, source=source.format(folder=folder), under="report", category="plates", tags={})
    made.close(status="FINISHED")
    sent, replay = connect(made.folder)
    with pytest.raises(BadData, match="which is no copy of its own: not sent") as raised:
        replay.advance()
    assert is_permanent(raised.value)
    assert sent.of("files") == []


def test_an_entry_of_a_later_version_is_not_passed_over(connect: Connect) -> None:
    made = begin()
    made.add("hologram")
    made.close(status="FINISHED")
    sent, replay = connect(made.folder)
    with pytest.raises(AssertionError, match="entry 'hologram'"):
        replay.advance()
    assert not replay.done
    assert sent.of("end") == []
