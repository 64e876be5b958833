"""The doctor names each planted fault, cures those that are safe to cure, and is silent about a sound project."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastflow.checkpoint import save_checkpoint
from fastflow.files import write_text
from fastflow.index import write_index
from fastflow.model import FastFlow
from pipelines.core.paths import STORE
from pipelines.monitoring import doctor
from pipelines.monitoring.diagnosis import Remark
from pipelines.registry import store
from pipelines.tracking import journal
from tests.conftest import ROOT, hashed_index, write_plates
from tests.stages import write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: FastFlow) -> Path:
    """A project with an index, a model and a DVC cache that are as they were written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    write_tiny_params(tmp_path)
    write_plates(tmp_path / "images/plates")
    write_index(hashed_index(tmp_path / "images/plates"), tmp_path / "data/prepared/plates.csv")
    save_checkpoint(tiny_model, tmp_path / "models/plates", files={"run.json": b"{}"})
    cached(b"whole")
    for folder in (STORE, Path(".state")):
        folder.mkdir(mode=0o700)
    return tmp_path


def cached(content: bytes, *, name: bytes | None = None) -> Path:
    digest = hashlib.md5(name or content, usedforsecurity=False).hexdigest()
    path = Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]
    write_text(path, content.decode())
    return path


def remarks(level: str) -> list[Remark]:
    return [r for r in doctor.examine() if r.level == level]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_sound_project_has_nothing_broken(sound: Path) -> None:
    assert remarks("fail") == []
    assert {r.about for r in remarks("ok")} >= {"versions", "params", "weights", "DVC cache", "data", "model", "disk"}


FAULTS: dict[str, Callable[[], object]] = {
    "DVC cache": lambda: cached(b"damaged", name=b"what it was"),
    "model": lambda: flip(Path("models/plates/flow.safetensors")),
    "data": lambda: flip(Path("images/plates/test/square/001.png")),
    "weights": lambda: _edit("weights: random", "weights: absent.safetensors"),
    "params": lambda: _edit("seed:", "sead:"),
    "permissions": lambda: Path(".state").chmod(0o777),
    "MLflow store": lambda: Path(".mlflow/mlflow.db").write_bytes(b"SQLite format 3\0" + b"junk" * 500),
    "locks": lambda: write_text(Path(".dvc/tmp/rwlock"), "{not json"),
}


def _edit(old: str, new: str) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(old, new, 1))


@pytest.mark.parametrize("about", FAULTS)
def test_each_planted_fault_is_named_with_a_remedy(sound: Path, about: str) -> None:
    FAULTS[about]()
    (found,) = remarks("fail")
    assert found.about == about
    assert found.message
    assert found.remedy


def test_what_is_safe_is_cured_and_the_rest_is_left(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged, whole = cached(b"damaged", name=b"what it was"), cached(b"whole")
    Path("models/.plates.part").mkdir()
    Path(".state").chmod(0o777)
    flip(Path("models/plates/flow.safetensors"))
    with pytest.raises(Exception, match="1 finding to cure"):
        doctor.doctor(fix=True, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert {r["about"] for r in rows if r["cured"]} == {"DVC cache", "permissions", "remnants"}
    assert [r["about"] for r in rows if r["level"] == "fail" and not r["cured"]] == ["model"]
    assert not damaged.exists()
    assert whole.exists()
    assert Path(".state").stat().st_mode & 0o777 == 0o775
    assert not Path("models/.plates.part").exists()
    assert Path("models/plates/flow.safetensors").exists()


def test_what_is_not_yet_safe_or_not_yet_there_is_a_warning(sound: Path) -> None:
    assert {r.about for r in remarks("warn")} == {"data", "DVC remote", "git", "demo"}
    Path("images/plates.dvc").touch()
    shutil.rmtree("models/plates")
    _edit("weights: random", "weights: imagenet")
    assert {r.about: r.remedy for r in remarks("warn")} == {
        "demo": "set demo.categories to [] there, so that dvc pull works elsewhere",
        "git": "git clone the project instead; or: git init && git add . && git commit -m start",
        "model": "fastflow train plates",
        "DVC remote": "dvc remote add --default NAME ADDRESS, then dvc push: docs/data.md",
    }
    (weights,) = [r for r in remarks("ok") if r.about == "weights"]
    assert "downloaded by the first training" in weights.message


def test_a_folder_that_git_refuses_or_does_not_know_is_named(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".dvc/config").write_text("")
    assert [r.remedy for r in remarks("fail") if r.about == "git"] == [
        "git clone the project instead; or: git init && git add . && git commit -m start"
    ]
    subprocess.run(["git", "init", "-q"], check=True)
    assert [r.message for r in remarks("warn") if r.about == "git"] == ["there is no commit yet: runs record none"]
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for its tests of this refusal
    (found,) = [r for r in remarks("fail") if r.about == "git"]
    assert "belongs to another user" in found.message
    assert found.remedy == f"git config --global --add safe.directory '{sound}'"


def test_runs_that_wait_for_a_server_are_reported(sound: Path) -> None:
    journal.Journal("bottle", key="k", name="bottle", tags={}, time=0).close(status="FINISHED")
    assert [r.remedy for r in remarks("warn") if r.about == "MLflow store"] == ["fastflow sync"]


def test_a_store_of_another_mlflow_is_named(sound: Path) -> None:
    store.connect()
    assert [r.message for r in remarks("ok") if r.about == "MLflow store"] == [".mlflow/mlflow.db"]
    with sqlite3.connect(".mlflow/mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    connection.close()
    (found,) = remarks("fail")
    assert "has the schema 0a8213491aaa of another MLflow" in found.message
    assert "mlflow db upgrade" in found.remedy


def test_a_dvc_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DVC", (sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(doctor, "DVC_SECONDS", 0.3)
    (remark,) = doctor.remotes()
    assert (remark.level, remark.about) == ("fail", "DVC")
    assert "no answer within 0.3 s: another DVC may hold its lock" in remark.message
