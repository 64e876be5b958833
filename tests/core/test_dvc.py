"""The wrapper around DVC: whose exit code it reports, and that nothing outlives it."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from pipelines.core import dvc
from pipelines.core.dvc import StageFailed, end_group, run_stage, stage_environment, stale_stages
from tests.conftest import ROOT, until

FAKE = """
import sys
print("Running stage 'train@plates':")
print("epoch 1/1")
print("To track the changes with git, run:\\n\\n\\tgit add dvc.lock")
{end}
"""


@pytest.fixture
def fake_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module named dvc that says what a test wants it to."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "dvc.py"


def test_lines_stream_and_the_outcome_is_reported(fake_dvc: Path) -> None:
    lines: list[str] = []
    fake_dvc.write_text(FAKE.format(end=""))
    assert run_stage("train@plates", on_line=lines.append) == "ran"
    assert lines == ["Running stage 'train@plates':", "epoch 1/1"]
    fake_dvc.write_text("print(\"Stage 'a' is cached - skipping run, checking out outputs\")")
    assert run_stage("a", on_line=lines.append) == "restored"
    fake_dvc.write_text("print(\"Stage 'a' didn't change, skipping\")")
    assert run_stage("a", on_line=lines.append) == "unchanged"


def test_failure_has_the_stages_own_message_and_exit_code(fake_dvc: Path) -> None:
    end = (
        "print('error: 1 bad file:\\n  mask is missing')\n"
        "print('ERROR: failed to run: python x, exited with 3')\nsys.exit(255)"
    )
    fake_dvc.write_text(FAKE.format(end=end))
    with pytest.raises(
        StageFailed, match="train@plates failed with exit code 3: 1 bad file: mask is missing"
    ) as raised:
        run_stage("train@plates", on_line=lambda line: None)
    assert raised.value.exit_code == 3
    fake_dvc.write_text("import sys\nsys.exit('lock is broken')")
    with pytest.raises(StageFailed, match="failed with exit code 1: lock is broken"):
        run_stage("train@plates", on_line=lambda line: None)


def test_force_and_single_item_reach_dvc(fake_dvc: Path) -> None:
    lines: list[str] = []
    fake_dvc.write_text("import sys\nprint(' '.join(sys.argv[1:]))")
    run_stage("train@a", on_line=lines.append, force=True)
    assert lines == ["--wait-for-lock repro --single-item train@a --force"]


def test_our_interpreter_is_first_on_path() -> None:
    assert stage_environment()["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_ending_the_group_ends_the_grandchild_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        f"import subprocess, pathlib; p = subprocess.Popen(['sleep', '60']); "
        f"pathlib.Path({str(pid_file)!r}).write_text(str(p.pid)); p.wait(120)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, text=True)
    until(lambda: pid_file.is_file() and bool(pid_file.read_text()))
    grandchild = int(pid_file.read_text())
    end_group(process)
    assert process.returncode is not None
    for _ in range(100):
        if not alive(grandchild):
            return
        time.sleep(0.05)
    pytest.fail("the grandchild outlived its group")


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and nobody has waited for is dead, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_error_while_streaming_ends_the_stage(fake_dvc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def end_and_tell(process: subprocess.Popen[str]) -> None:
        end_group(process)
        started.append(process)

    monkeypatch.setattr(dvc, "end_group", end_and_tell)
    fake_dvc.write_text("import time\nprint('started', flush=True)\ntime.sleep(60)")

    def refuse(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage("a", on_line=refuse)
    assert started[0].returncode is not None


@pytest.mark.slow
def test_eight_categories_four_at_once_five_times_leave_the_lock_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages as ours are: of a matrix, with an input of their own and one in common; each time all are stale."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    names = [f"c{i}" for i in range(8)]
    stage = {
        "matrix": {"category": names},
        "cmd": "cat in/${item.category} common > out-${item.category}",
        "deps": ["in/${item.category}", "common"],
        "outs": ["out-${item.category}"],
    }
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"work": stage}}))
    Path("in").mkdir()
    Path("common").write_text("common\n")
    for turn in range(5):
        for name in names:
            Path("in", name).write_text(f"{name} {turn}\n")
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda name: run_stage(f"work@{name}", on_line=lambda line: None), names))
        assert done == ["ran"] * 8
        stages = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
        for name in names:
            (out,) = stages[f"work@{name}"]["outs"]
            content = f"{name} {turn}\ncommon\n".encode()
            assert out["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert stale_stages([f"work@{name}" for name in names]) == set()
    Path("in/c3").write_text("another\n")
    assert stale_stages([f"work@{name}" for name in names]) == {"work@c3"}
    assert stale_stages(["work@c1", "work@c2"]) == set(), "what is not asked for is not told"


@pytest.mark.slow
def test_compiled_files_make_no_stage_stale_that_depends_on_a_folder_of_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    stage = {"cmd": "echo done > out", "deps": ["ours"], "outs": ["out"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"work": stage}}))
    Path("ours").mkdir()
    Path("ours/one.py").write_text("A = 1\n")
    assert run_stage("work", on_line=lambda line: None) == "ran"
    subprocess.run(
        [sys.executable, "-c", "import ours.one"], check=True, env=os.environ | {"PYTHONPATH": str(tmp_path)}
    )
    assert list(Path("ours/__pycache__").glob("one.*.pyc"))
    Path("ours/__pycache__/one.f-1.py311.nbi").touch()  # numba's
    assert stale_stages(["work"]) == set()
    Path("ours/one.py").write_text("A = 2\n")
    assert stale_stages(["work"]) == {"work"}
