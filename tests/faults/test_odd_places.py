"""A user id that has no name, as containers have; a project that cannot be written, its outputs elsewhere."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from pipelines.core.stage import SERVER_AWAY
from tests.conftest import write_plates
from tests.faults.kit import unshared
from tests.registry.kit import registered
from tests.scoring.test_score import rows
from tests.test_pipeline import change_params
from tests.test_pipeline import project as project  # the fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]
READ_ONLY = 'mount --bind . . && mount -o remount,bind,ro "$PWD" && cd "$PWD" && exec "$@"'
FASTFLOW = [sys.executable, "-m", "pipelines.cli.app"]


def test_a_user_id_without_a_name_trains_evaluates_and_registers(project: Path) -> None:
    nameless = unshared("--map-user=23456", "--map-group=23456")
    change_params(project, data={"root": "images", "categories": ["plates"]}, demo_categories=[])
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "MLFLOW_TRACKING_URI")
    own = {name: value for name, value in os.environ.items() if name not in names}
    own |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}", "PYTHONPATH": str(project)}
    asked = [*nameless, sys.executable, "-c", "import os, pwd; pwd.getpwuid(os.getuid())"]
    assert "uid not found: 23456" in subprocess.run(asked, env=own, capture_output=True, text=True, timeout=60).stderr
    done = subprocess.run(
        [*nameless, *FASTFLOW, "evaluate"], cwd=project, env=own, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "registered as fastflow-plates version 1" in done.stderr
    with closing(sqlite3.connect(project / ".mlflow/mlflow.db")) as base:
        assert base.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
    assert {path.name for path in (project / ".state/home").iterdir()} <= {".cache", ".config", ".local"}


@pytest.fixture
def shut(folder: Path) -> Path:
    """A project with a model, which is registered too, and photographs."""
    (place := folder / "project").mkdir()
    os.chdir(place)
    assert list(registered(place, 1)) == ["1"]
    (place / "models").mkdir()
    (place / "1").rename(place / "models/plates")
    write_plates(place / "images/plates", num_train=1, num_test=2)
    return place


def test_a_project_that_cannot_be_written_scores_elsewhere_and_says_that_it_cannot_train(
    shut: Path, tmp_path: Path
) -> None:
    start = [*unshared("--map-root-user", "--mount"), "sh", "-c", READ_ONLY, "sh"]
    probe = subprocess.run([*start, "touch", "made"], capture_output=True, text=True, timeout=30)
    assert "Read-only file system" in probe.stderr
    before = {path: path.stat().st_mtime_ns for path in shut.rglob("*")}

    def fastflow(*words: object, code: int = 0) -> str:
        done = subprocess.run([*start, *FASTFLOW, *map(str, words)], capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    photographs, scores = "images/plates/test", tmp_path / "elsewhere/scores.csv"
    fastflow("score", photographs, "--model", "models/plates", "--to", scores, "--overlays", tmp_path / "seen")
    assert len(rows(scores)) == len(list((tmp_path / "seen").iterdir())) == 4
    said = fastflow("score", photographs, "--model", "models:/fastflow-plates/1", "--to", tmp_path / "registered.csv")
    assert "production/plates.db: not all scores are kept there" in said
    assert [row["pred_score"] for row in rows(tmp_path / "registered.csv")] == [r["pred_score"] for r in rows(scores)]
    said = fastflow("score", photographs, "--model", "models/plates", "--to", "here.csv", code=SERVER_AWAY)
    assert "error: here.csv cannot be written: its file system is read-only; name a place that can" in said
    said = fastflow("train", "plates", code=SERVER_AWAY)
    assert said == (
        f"error: {shut} cannot be written: its file system is read-only; name a place that can be written, "
        "or work in a copy of the project\n"
    )
    assert {path: path.stat().st_mtime_ns for path in shut.rglob("*")} == before
    assert yaml.safe_load((shut / "params.yaml").read_text())["data"]["categories"] == ["plates"]
