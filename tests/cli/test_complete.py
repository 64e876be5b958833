"""What the shell offers after TAB, and the version, asked as a shell and a person ask: of a process of its own."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT


def offered(line: str, folder: Path) -> list[str]:
    """The lines that bash gets for a line whose last word is being typed."""
    asked = {"_FASTFLOW_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    code = "from pipelines.cli.app import main; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | asked
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("[weave, label, gear]", "[weave, web, gear]"))
    (tmp_path / "exports/web/onnx-fp32").mkdir(parents=True)
    (tmp_path / "exports/web/onnx-fp32/export.json").touch()
    return tmp_path


def test_categories_and_models_of_the_project(project: Path) -> None:
    assert offered("fastflow train we", project) == ["weave", "web"]
    assert offered("fastflow train weave g", project) == ["gear"]
    assert offered("fastflow compare --category we", project) == ["weave", "web"]
    assert offered("fastflow score x.png --model e", project) == ["exports/web/onnx-fp32"]
    assert offered(f"fastflow -C {project} promote ge", Path("/")) == ["gear"]


@pytest.mark.parametrize("params", [None, "", "data: {categories: [x"])
def test_nothing_where_there_is_no_project(tmp_path: Path, params: str | None) -> None:
    if params is not None:
        (tmp_path / "params.yaml").write_text(params)
    assert offered("fastflow train ", tmp_path) == []


def test_the_version_is_that_of_the_package() -> None:
    command = [sys.executable, "-m", "pipelines.cli.app", "--version"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert said == f"fastflow {stated}\n"
