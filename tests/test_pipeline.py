"""The whole pipeline with real DVC, Prefect and MLflow, on two tiny categories in a project of their own."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, free_port, of_a_user, write_plates
from tests.stages import write_tiny_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CATEGORIES = ["plates", "tiles"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with tiny parameters, in a path with a space; the tests below share it and go in order."""
    folder = tmp_path_factory.mktemp("a project") / "of its own"
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled: to compile it again costs a minute
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    write_tiny_params(folder, epochs=1)
    change_params(folder, data={"root": "images", "categories": CATEGORIES}, demo_categories=[])
    for category in CATEGORIES:
        write_plates(folder / "images" / category, num_train=4, num_test=2)
    for command in ("git init -q", "dvc init -q", "git add -A", "git commit -qm start"):
        program, *rest = command.split()
        run(folder, *([program] if program == "git" else [sys.executable, "-m", "dvc"]), *rest)
    return folder


def change_params(folder: Path, *, data: dict[str, object], demo_categories: list[str]) -> None:
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["data"] |= data
    values["demo"]["categories"] = demo_categories
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


def run(folder: Path, *command: str, check: bool = True, **environment: str) -> str:
    own = {"PREFECT_HOME": str(folder / ".prefect"), "DVC_SITE_CACHE_DIR": str(folder / ".dvc/site-cache")}
    own |= environment
    done = subprocess.run(command, cwd=folder, env=of_a_user(folder) | own, capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stdout[-3000:] + done.stderr[-3000:]
    return f"{done.stdout}{done.stderr}\nexit code {done.returncode}"


def dvc(folder: Path, *command: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *command)


def ran(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def test_repro_runs_all_then_nothing_and_metrics_and_plots_show(project: Path) -> None:
    everything = {f"{stage}@{c}" for stage in ("prepare", "train", "evaluate") for c in CATEGORIES} | {"report"}
    assert ran(dvc(project, "repro")) == everything
    assert ran(dvc(project, "repro")) == set()
    shown = json.loads(dvc(project, "metrics", "show", "--json").splitlines()[0])
    assert set(shown[""]["data"]) == {f"reports/{c}/metrics.json" for c in CATEGORIES}
    assert (project / "report.html").stat().st_size > 10_000
    dvc(project, "plots", "show", "--out", "plots")
    assert "ROC of images" in (project / "plots/index.html").read_text()


def test_the_flow_finds_nothing_to_do_after_repro(project: Path) -> None:
    said = run(project, sys.executable, "-m", "pipelines.cli.operations", "flow")
    assert "exit code 0" in said
    assert not ran_in_flow(said)
    assert "up to date" in dvc(project, "status")


def test_epochs_of_one_run_are_in_no_file_of_the_project(project: Path) -> None:
    def stands() -> dict[str, object]:
        lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
        files = ("params.yaml", "models/plates/config.json", "reports/plates/metrics.json")
        texts = {name: (project / name).read_text() for name in files}
        return texts | {name: lock[f"{name}@plates"] for name in ("train", "evaluate")}

    before = stands()
    said = run(
        project, sys.executable, "-m", "pipelines.cli.operations", "flow", "--category", "plates", "--epochs", "3"
    )
    assert "epoch 3/3" in said
    assert stands() == before
    assert "up to date" in dvc(project, "status")
    assert not (project / ".state/one_off/plates").exists()
    decision = json.loads((project / "reports/plates/gate.json").read_text())
    with closing(sqlite3.connect(project / ".mlflow/mlflow.db")) as store:
        (run_id,) = store.execute(
            "SELECT run_id FROM model_versions WHERE name = 'fastflow-plates' AND version = ?", [decision["challenger"]]
        ).fetchone()
        asked = "SELECT value FROM {} WHERE key = ? AND run_uuid = ?"
        for table, key, value in (("tags", "overrides", "train.epochs=3"), ("params", "train.epochs", "3")):
            assert store.execute(asked.format(table), [key, run_id]).fetchone() == (value,)
    said = run(project, sys.executable, "-m", "pipelines.cli.operations", "flow")
    assert ran_in_flow(said) == set()
    assert "plates up to date; tiles up to date" in said


def test_a_change_reruns_exactly_what_depends_on_it(project: Path) -> None:
    write_plates(project / "more", num_train=5, num_test=2)
    shutil.copy(project / "more/train/good/004.png", project / "images/tiles/train/good")
    assert set(status(project)) == {"prepare@tiles", "train@tiles", "evaluate@tiles"}
    (project / "images/tiles/train/good/004.png").unlink()
    library = project / "fastflow/evaluation.py"
    library.write_text(library.read_text() + "# changed\n")
    assert set(status(project)) == {"evaluate@plates", "evaluate@tiles"}
    library.write_text(library.read_text().removesuffix("# changed\n"))
    assert status(project) == {}


def test_a_new_threshold_evaluates_anew_and_trains_nothing(project: Path) -> None:
    model = project / "models/plates"
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    run(project, sys.executable, "-m", "pipelines.cli.app", "threshold", "plates", "--max-false-reject", "30%")
    changed = {path.name for path in model.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"config.json"}
    assert set(status(project)) == {"evaluate@plates"}
    assert ran(dvc(project, "repro")) == {"evaluate@plates", "report"}
    metrics = json.loads((project / "reports/plates/metrics.json").read_text())
    assert metrics["threshold"] == json.loads((model / "config.json").read_text())["threshold"]["image"]
    write_plates(project / "others", num_train=5, num_test=2)
    shutil.copy(project / "others/train/good/004.png", project / "images/plates/train/good")
    command = (sys.executable, "-m", "pipelines.cli.app", "threshold", "plates", "--max-false-reject", "20%")
    said = run(project, *command, check=False)
    assert "is not what its inputs would give now" in said
    assert "exit code 2" in said
    (project / "images/plates/train/good/004.png").unlink()
    assert status(project) == {}


def status(project: Path) -> dict[str, object]:
    """Stages that are stale by themselves; those after them follow."""
    answer: dict[str, object] = json.loads(dvc(project, "status", "--json").splitlines()[0])
    return answer


def test_an_experiment_with_another_parameter_shows_in_metrics_diff(project: Path) -> None:
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "first results")
    said = dvc(project, "exp", "run", "-S", "train.epochs=2")
    assert {f"train@{c}" for c in CATEGORIES} <= ran(said)
    assert not any(stage.startswith("prepare") for stage in ran(said))
    changed = json.loads(dvc(project, "params", "diff", "--json").splitlines()[0])
    assert changed["params.yaml"]["train.epochs"]["new"] == 2
    assert "pixel_auroc" in dvc(project, "metrics", "diff", "--all")
    assert len(pd.read_csv(project / "reports/plates/training.csv")) == 2


def test_a_failing_category_takes_nobody_with_it_and_is_named(project: Path) -> None:
    image = project / "images/plates/train/good/000.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:200])
    extra = write_plates(project / "further", num_train=6, num_test=2) / "train/good/005.png"
    shutil.copy(extra, project / "images/tiles/train/good/005.png")
    store = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}  # away
    said = run(project, sys.executable, "-m", "pipelines.cli.operations", "flow", check=False, **store)
    assert "exit code 1" in said
    (sentence,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "prepare@plates failed with exit code 3" in sentence
    assert "train/good/000.png" in sentence
    assert ran_in_flow(said) >= {"train@tiles", "evaluate@tiles"}
    assert "the next retraining asks the gate again" in said
    image.write_bytes(whole)
    decision = project / "reports/tiles/gate.json"
    decision.unlink(missing_ok=True)
    said = run(project, sys.executable, "-m", "pipelines.cli.operations", "flow")
    assert not any("@tiles" in stage for stage in ran_in_flow(said))
    assert json.loads(decision.read_text())["category"] == "tiles", "the store was away then, and nobody asked since"
    assert "up to date" in dvc(project, "status")


def test_a_retraining_that_is_ended_ends_its_stages_and_goes_on_later(project: Path) -> None:
    """The signal goes to the whole group, as a terminal, `timeout` or a closed session sends it."""
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["train"] |= {"epochs": 3000}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    own = {"PREFECT_HOME": str(project / ".prefect"), "DVC_SITE_CACHE_DIR": str(project / ".dvc/site-cache")}
    log = project / "said.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli.operations", "retrain"], cwd=project, env=of_a_user(project) | own,
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
        while "epoch 2/3000" not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(90) == 143
    said = log.read_text()
    assert "stopping after this step" in said
    assert "Finished in state Crashed" in said, "Prefect's server had ended before"
    assert "ConnectError" not in said
    assert said.endswith("interrupted: the same command resumes where this one stopped\n")
    assert (project / "models/plates/config.json").is_file(), "the previous model was not restored"
    said = run(
        project, sys.executable, "-m", "pipelines.cli.operations", "retrain", "--category", "plates", "--epochs", "5"
    )
    assert "exit code 0" in said


def ran_in_flow(said: str) -> set[str]:
    return {line.split("Running stage '")[1].split("'")[0] for line in said.splitlines() if "Running stage '" in line}
