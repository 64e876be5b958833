"""A project elsewhere, by the documented commands: cloned with its images, copied, moved; and an experiment with it."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.params_edit import write_values
from tests.conftest import ROOT, write_plates
from tests.data.test_data_tracking import tree
from tests.stages import TINY
from tests.test_pipeline import dvc, ran, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone as it is shipped, but small; own images initialised, trained, promoted, committed and pushed."""
    top = tmp_path_factory.mktemp("places")
    folder = top / "project"
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    model: Any = TINY["model"]
    values = {f"model.{key}": value for key, value in model.items()}
    write_values(values | {"train.epochs": 1}, folder / "params.yaml")
    run(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
    photographs = write_plates(top / "photographs", num_train=6, num_test=3)
    fastflow(folder, "init", str(photographs), "--name", "plates", "--weights", "random")
    dvc(folder, "remote", "add", "--default", "store", str(top / "store"))
    dvc(folder, "add", "data/own/plates")
    fastflow(folder, "report")
    fastflow(folder, "promote", "plates", "--force", "--reason", "too few images for a gate")
    fastflow(folder, "report")  # which shows the decision
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "-qm", "plates")
    dvc(folder, "push")
    return folder


def fastflow(folder: Path, *words: str, check: bool = True, **environment: str) -> str:
    return run(folder, "python", "-m", "pipelines.cli.app", *words, check=check, **environment)


def store_of(folder: Path) -> dict[str, str]:
    files = (path for path in (folder / ".mlflow").rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / ".mlflow/mlflow.db")) as base:
        return base.execute(query).fetchall()


def test_a_clone_pulls_everything_and_has_nothing_to_do(project: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "clone", "-q", str(project), "clone")
    clone = tmp_path / "clone"
    dvc(clone, "pull")
    assert ran(dvc(clone, "repro")) == set()
    assert tree(clone / "data/own") == tree(project / "data/own")
    assert not (clone / "data/demo").exists()
    assert run(clone, "git", "status", "--porcelain").startswith("\nexit code 0")


def test_a_copy_never_writes_into_the_store_of_the_original(project: Path, tmp_path: Path) -> None:
    before, copy = store_of(project), tmp_path / "copy #2? 50% é"
    shutil.copytree(project, copy, symlinks=True)
    assert "fastflow doctor --fix" in fastflow(copy, "doctor", check=False)
    fastflow(copy, "evaluate", "--force")
    fastflow(copy, "train", "--force")
    fastflow(copy, "evaluate")
    assert store_of(project) == before
    assert len(rows(copy, "SELECT run_uuid FROM runs")) == 1 + len(rows(project, "SELECT run_uuid FROM runs"))
    places = rows(copy, "SELECT artifact_uri FROM runs UNION SELECT source FROM model_versions")
    assert all(place.startswith((copy / ".mlflow/artifacts").as_uri() + "/") for (place,) in places)


def test_a_project_that_was_moved_goes_on_with_its_champion(project: Path, tmp_path: Path) -> None:
    original, moved = tmp_path / "before", tmp_path / "elsewhere" / "after"
    shutil.copytree(project, original, symlinks=True)
    fastflow(original, "evaluate", "--force")  # its store now names this folder
    moved.parent.mkdir()
    original.rename(moved)
    champion = "models:/fastflow-plates@champion"
    fastflow(moved, "score", "data/own/plates/test", "--model", champion, "--to", "scores.csv")
    assert len((moved / "scores.csv").read_text().splitlines()) == 1 + 6
    assert "train@plates" not in ran(dvc(moved, "repro"))
    assert not original.exists()


def test_an_experiment_is_a_run_and_no_release_until_it_is_evaluated_outside(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tried"
    shutil.copytree(project, copy, symlinks=True)
    released = "SELECT version, run_id FROM model_versions"
    aliases = "SELECT alias, version FROM registered_model_aliases ORDER BY alias"
    before = rows(copy, released), rows(copy, aliases)
    dvc(copy, "exp", "run", "--temp", "--name", "two-epochs", "-S", "train.epochs=2")
    dvc(copy, "exp", "run", "--temp", "--name", "evaluated", "-S", "evaluate.batch_size=2")
    assert (rows(copy, released), rows(copy, aliases)) == before
    assert rows(copy, "SELECT value FROM tags WHERE key = 'dvc_experiment' ORDER BY value") == [
        ("evaluated",),
        ("two-epochs",),
    ]
    assert {status for (status,) in rows(copy, "SELECT status FROM runs")} == {"FINISHED"}
    dvc(copy, "exp", "apply", "two-epochs")
    assert json.loads((copy / "reports/plates/about.json").read_text())["dvc_experiment"] == "two-epochs"
    said = fastflow(copy, "promote", "plates", check=False)
    assert "exit code 2" in said
    assert "models/plates is of the experiment two-epochs, which is no release" in said
    fastflow(copy, "evaluate", "--force", "plates")
    assert [version for version, _ in rows(copy, released)] == [1, 2]
    assert ("challenger", 2) in rows(copy, aliases)


def test_make_setup_makes_the_environment_of_a_folder_that_was_moved_anew(tmp_path: Path) -> None:
    before, moved = tmp_path / "before", tmp_path / "after it #1"
    (before / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, before)
    line = f'export DVC_SITE_CACHE_DIR="{before}/.dvc/site-cache" DVC_NO_ANALYTICS=1\n'  # as setup writes it
    (before / ".venv/bin/activate").write_text(line)
    (before / ".venv/.ready").touch()
    assert "Nothing to be done for 'setup'" in run(before, "make", "-n", "setup")
    before.rename(moved)
    assert "rm -rf .venv" in run(moved, "make", "-n", "setup")
    (moved / ".venv/bin/activate").write_text(line.replace(str(before), str(moved)))
    assert "Nothing to be done for 'setup'" in run(moved, "make", "-n", "setup")
