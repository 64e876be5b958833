"""The store of a project that was copied: its data base names the artifacts that came with it, no more."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.monitoring.doctor import examine
from pipelines.registry import place, store
from tests.stages import write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations


@pytest.fixture
def copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a project with a run and a version, as the current directory; the original is still there."""
    original, copied = folder / "part", folder / "part 2 #?%"  # the one name begins as the other does
    original.mkdir()
    monkeypatch.chdir(original)
    client = store.connect()
    run = store.run_of(client, "k1", name="one", start=0, tags={})
    client.log_text(run.info.run_id, "kept", "note.txt")
    client.create_registered_model("fastflow-part")
    client.create_model_version("fastflow-part", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    shutil.copytree(original, copied)
    monkeypatch.chdir(copied)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow's own note of the original's
    return copied


def named(folder: Path) -> list[str]:
    columns = "SELECT artifact_uri FROM runs UNION SELECT source FROM model_versions"
    query = f"{columns} UNION SELECT storage_location FROM model_versions"
    with closing(sqlite3.connect(folder / ".mlflow/mlflow.db")) as base:
        return [row[0] for row in base.execute(query)]


def test_connecting_in_a_copy_makes_its_store_its_own(copy: Path) -> None:
    original = copy.parent / "part"
    before = (original / ".mlflow/mlflow.db").read_bytes(), named(original)
    assert place.earlier_place() == (original / ".mlflow/artifacts").as_uri()
    client = store.connect()
    new = store.run_of(client, "k2", name="two", start=0, tags={})
    client.log_text(new.info.run_id, "new", "note.txt")
    assert [uri for uri in named(copy) if not uri.startswith((copy / ".mlflow/artifacts").as_uri() + "/")] == []
    known = store.find_run(client, "k1")
    assert known is not None
    assert len(list(copy.rglob("note.txt"))) == 2
    assert len(list(original.rglob("note.txt"))) == 1
    assert ((original / ".mlflow/mlflow.db").read_bytes(), named(original)) == before
    assert place.earlier_place() is None


def test_the_doctor_names_it_and_cures_it(copy: Path) -> None:
    write_tiny_params(copy)
    (found,) = [remark for remark in examine() if remark.cure and remark.about == "MLflow store"]
    assert (found.level, found.remedy) == ("warn", "fastflow doctor --fix")
    place.correct_place()
    assert not [remark for remark in examine() if remark.cure]


def test_artifacts_that_a_person_keeps_elsewhere_stay_there(folder: Path) -> None:
    store.connect()
    with closing(sqlite3.connect(".mlflow/mlflow.db")) as base, base:
        base.execute("UPDATE experiments SET artifact_location = 'file:///mnt/big/runs' WHERE name = 'fastflow'")
    assert place.correct_place() is None
