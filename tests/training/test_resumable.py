"""When an interrupted training resumes, and when it starts again."""

import shutil
from pathlib import Path

import pytest

import fastflow
from pipelines.training.resumable import code_sha256


@pytest.mark.parametrize("name", ["flow.py", "fused/cpu_kernels.py", "pixels/meaning.py"])
def test_another_code_is_another_training(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(Path(*fastflow.__path__), tmp_path / "fastflow")
    monkeypatch.setattr(fastflow, "__path__", [str(copy)])
    before = code_sha256()
    (copy / name).write_text((copy / name).read_text() + "# changed\n")
    assert code_sha256() != before
