"""Two `make demo` at once in one project: one of them makes everything, the other waits or says who works."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, of_a_user
from tests.test_pipeline import change_params, dvc
from tests.test_pipeline import project as project  # the fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def demo(project: Path) -> Path:
    """The project with one category of the demo, and what `make` takes for its environment."""
    change_params(project, data={"root": "data/demo", "categories": ["weave"]}, demo_categories=["weave"])
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, project)
    commands = project / ".venv/bin"
    commands.mkdir(parents=True)
    (commands / "fastflow").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pipelines.cli.app "$@"\n')
    (commands / "fastflow").chmod(0o755)
    (project / ".venv/.ready").touch()
    return project


def make_demo(folder: Path, said: str) -> "subprocess.Popen[bytes]":
    with (folder / said).open("wb") as file:
        return subprocess.Popen(["make", "demo"], cwd=folder, env=of_a_user(folder), stdout=file, stderr=file)


def test_two_at_once_end_well_and_leave_one_whole_result(demo: Path) -> None:
    both = [make_demo(demo, "one.txt"), make_demo(demo, "other.txt")]
    codes = [process.wait(600) for process in both]
    said = [(demo / name).read_text() for name in ("one.txt", "other.txt")]
    assert 0 in codes, said
    for code, text in zip(codes, said, strict=True):
        assert "Traceback" not in text
        busy = "error: weave is being worked on; try again when that has ended: process "
        assert ("report: file://" if code == 0 else busy) in text, text
    last = make_demo(demo, "last.txt")
    assert last.wait(300) == 0
    assert "nothing has changed: everything is up to date" in (demo / "last.txt").read_text()
    assert "up to date" in dvc(demo, "status")
