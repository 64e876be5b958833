"""Making a version again from its number alone: the printed recipe, followed as a person would."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from fastflow.sealed import read_config
from pipelines.registry import aliases, store
from pipelines.registry.registered import WEIGHTS_TAG
from pipelines.registry.reproduce import script
from pipelines.tracking.sync import sync
from tests.conftest import ROOT, write_plates
from tests.data.test_data_tracking import change
from tests.registry.test_reproduce import MADE, commit
from tests.stages import STAGE_NAMES, write_tiny_params
from tests.stages import run as run_here
from tests.test_pipeline import dvc, run


def new_project(folder: Path, *, root: str, category: str) -> None:
    put_code(folder)
    (folder / ".dvc").mkdir()
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, folder / name)
    write_tiny_params(folder, epochs=1)
    change(folder, "data", root=root, categories=[category])
    change(folder, "threshold", folds=None)
    run(folder, "git", "init", "-q")


def put_code(folder: Path) -> None:
    for name in ("fastflow", "pipelines"):  # with what is compiled: to compile it again costs a minute
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)


def fresh_clone(project: Path) -> Path:
    run(project.parent, "git", "clone", "-q", str(project), "clone")
    put_code(project.parent / "clone")
    return project.parent / "clone"


def weights_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "models/plates/flow.safetensors").read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
def test_an_old_version_is_made_again_from_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit, images, parameters and threads have all moved on; the images come from a remote."""
    project, images = tmp_path / "a project", Path("data/own/plates/train/good")
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow leaves the last test's there
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    new_project(project, root="data/own", category="plates")
    write_plates(project / "data/own/plates", num_train=5, num_test=2)
    later = (project / images / "004.png").rename(tmp_path / "004.png")
    dvc(project, "remote", "add", "-q", "--default", "store", str(tmp_path / "store"))
    dvc(project, "add", "-q", "data/own/plates")
    dvc(project, "push", "-q")
    start, params = commit(project), (project / "params.yaml").read_text()
    dvc(project, "repro", "train@plates")
    first = weights_sha256(project)
    threshold = [sys.executable, "-m", "pipelines.cli.app", "threshold", "plates"]
    run(project, *threshold, "--max-false-reject", "30%")
    chosen = read_config(project / "models/plates")["threshold"]
    commit(project)
    dvc(project, "repro", "evaluate@plates")  # the version's tags name this commit, not the training's

    shutil.copy(later, project / images)
    dvc(project, "add", "-q", "data/own/plates")
    (project / "params.yaml").write_text(params.replace("seed: 0", "seed: 1").replace("epochs: 1", "epochs: 2"))
    commit(project)
    monkeypatch.chdir(project)
    for stage in STAGE_NAMES:  # in this process: it is only to be another one
        assert run_here(stage, monkeypatch) == 0
    assert json.loads((project / "reports/plates/about.json").read_text())["git_dirty"] == "false"
    sync()

    clone = fresh_clone(project)
    address = f"sqlite:///{project}/.mlflow/mlflow.db"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert registered() == {"1": first, "2": weights_sha256(project)}
    run(clone, "bash", "-c", "fastflow reproduce plates 1 > recipe.sh", MLFLOW_TRACKING_URI=address)
    recipe = (clone / "recipe.sh").read_text()
    assert first in recipe
    assert weights_sha256(project) not in recipe
    assert f"git checkout --quiet --detach {start}\n" in recipe
    assert "# clean commit\n" in recipe
    said = run(clone, "bash", "-c", "bash recipe.sh 2>&1", MLFLOW_TRACKING_URI=address)
    assert "\nmodels/plates/flow.safetensors: OK\n" in said
    assert said.endswith(f"\nthreshold {chosen['image']:.6g}\n\nexit code 0")
    assert weights_sha256(clone) == first
    assert read_config(clone / "models/plates")["threshold"] == chosen
    assert (clone / "params.yaml").read_text() == params
    assert len(list((clone / images).iterdir())) == 4


def registered() -> dict[str, str]:
    """The weights' hash of each version."""
    found = aliases.versions(store.connect(), "fastflow-plates")
    return {str(version.version): version.tags[WEIGHTS_TAG] for version in found}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_drawn_images_are_drawn_and_no_remote_is_needed(tmp_path: Path) -> None:
    new_project(tmp_path / "project", root="data/demo", category="weave")
    made = MADE | {"git_commit": commit(tmp_path / "project")}
    params = (tmp_path / "project/params.yaml").read_text().replace("num_train: 3", "num_train: 2")
    clone = fresh_clone(tmp_path / "project")
    (clone / "recipe.sh").write_text(script("weave", "7", made, params).partition("dvc repro --single-item")[0] + ")")
    run(clone, "bash", "recipe.sh")
    assert (clone / "data/prepared/weave.csv").read_text().count("train/good") == 2
