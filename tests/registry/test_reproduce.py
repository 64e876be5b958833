"""The recipe that makes a version again: its lines in order, and nothing hostile runs."""

import hashlib
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.core.revision import project_version
from pipelines.registry.registered import WEIGHTS_TAG
from pipelines.registry.reproduce import script
from tests.test_pipeline import run

MADE = {
    "git_commit": "0" * 40,
    "git_dirty": "false",
    "seed": "0",
    "params_sha256": "a" * 64,
    "data_dvc_md5": "b" * 32 + ".dir",
    "hardware": "x86_64, 3 threads, no GPU",
    WEIGHTS_TAG: hashlib.sha256(b"weights\n").hexdigest(),
}
EVIL = ["$(touch canary)", "`touch canary`", "'; touch canary; '", "\ntouch canary\n", "; touch canary"]
DVC = """#!/bin/sh
echo "$OMP_NUM_THREADS: $*" >> calls
case "$*" in *train@*) mkdir -p models/plates; echo weights > models/plates/flow.safetensors;; esac
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real repository, the current directory, with a DVC that only notes what it is asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dvc").write_text(DVC)
    (tmp_path / "bin/dvc").chmod(0o755)
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    run(tmp_path, "git", "init", "-q")
    commit(tmp_path)
    return tmp_path


def commit(folder: Path) -> str:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "all")
    return run(folder, "git", "rev-parse", "HEAD").split()[0]


def follow(clone: Path, text: str, command: str = "bash recipe.sh 2>&1") -> subprocess.CompletedProcess[str]:
    (clone / "recipe.sh").write_text(text)
    path = os.pathsep.join([str(clone / "bin"), os.environ["PATH"]])
    return subprocess.run(["bash", "-c", command], env={**os.environ, "PATH": path}, capture_output=True, text=True)


def test_commands_come_in_order_and_any_parameters_arrive_as_they_are(clone: Path) -> None:
    params = "seed: 1  # it's\nEND_OF_PARAMS\n" + "".join(EVIL) + '\\n "$HOME" %s ! #'
    head = run(clone, "git", "rev-parse", "HEAD").split()[0]
    done = follow(clone, script("plates", "7", MADE | {"git_commit": head}, params))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "models/plates/flow.safetensors: OK")
    assert (clone / "params.yaml").read_text() == params
    calls = (clone / "calls").read_text().splitlines()
    assert [line.split()[-1] for line in calls] == ["prepare@plates", "prepare@plates", "train@plates"]
    assert all(line.startswith("3: repro ") for line in calls[1:])
    assert not (clone / "canary").exists()


def test_a_file_of_weights_that_another_machine_needs_is_named() -> None:
    assert "by hand, its sha256" not in script("plates", "7", MADE, "")
    assert f"by hand, its sha256 is {'c' * 64}" in script("plates", "7", MADE | {"weights_sha256": "c" * 64}, "")
    with pytest.raises(ValueError, match="its weights_sha256 is 'x'"):
        script("plates", "7", MADE | {"weights_sha256": "x"}, "")


def test_a_threshold_that_was_chosen_by_hand_is_chosen_again_and_checked() -> None:
    params = "threshold:\n  folds: 2\n  false_reject_rate: 0.01  # aimed at\ngate:\n  false_reject_rate: 0.1\n"

    def after_training(method: str, rate: str) -> list[str]:
        tags = MADE | {"threshold": "0.652487", "threshold_method": method, "threshold_rate": rate}
        lines = script("plates", "7", tags, params).splitlines()
        assert lines[-2].startswith('python -c "')
        assert "t != '0.652487'" in lines[-2]
        return lines[lines.index(next(x for x in lines if "sha256sum" in x)) + 1 : -2]

    assert after_training("tail", "0.01") == []
    assert after_training("rank", "0.02") == ["fastflow threshold plates --max-false-reject 2%"]
    assert after_training("misses", "0.05") == [
        "dvc repro --single-item evaluate@plates", "fastflow threshold plates --max-miss 5%",
    ]  # fmt: skip
    for evil in EVIL:
        for tag in ("threshold", "threshold_method", "threshold_rate"):
            with pytest.raises(ValueError, match=f"cannot be made again: its {tag} is"):
                script("plates", "7", MADE | {tag: f"0.5{evil}"}, params)


@pytest.mark.parametrize("tag", [*MADE, "category", "version"])
def test_a_hostile_tag_is_refused_or_only_text(clone: Path, tag: str) -> None:
    head = run(clone, "git", "rev-parse", "HEAD").split()[0]
    made = MADE | {"git_commit": head, "category": "plates", "version": "7"}
    for evil in EVIL:
        for value in (evil, made[tag] + evil, evil + made[tag]):
            hostile = made | {tag: value}
            with suppress(ValueError):
                text = script(hostile["category"], hostile["version"], hostile, "seed: 0\n")
                assert follow(clone, text).returncode == 0
    assert not (clone / "canary").exists()


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(ValueError, match="plates version 7 cannot be made again: its git_commit is 'unknown'"):
        script("plates", "7", MADE | {"git_commit": "unknown"}, "seed: 0\n")
    with pytest.raises(ValueError, match="its git_commit is 'unknown'"):
        script("plates", "7", {}, "seed: 0\n")
    with pytest.raises(ValueError, match="control characters"):
        script("plates", "7", MADE, "seed: 0\x1b[201~\n")
    assert "\x1b" not in script("plates", "7", MADE | {"hardware": "\x1b[201~ 2 threads"}, "seed: 0\n")


def test_a_failing_line_ends_the_recipe_and_not_the_shell(clone: Path) -> None:
    text = script("plates", "7", MADE, "seed: 1\n")
    done = follow(clone, text, ". ./recipe.sh; echo survived")
    assert "0000" in done.stderr
    assert done.stdout == "survived\n"
    assert (clone / "params.yaml").read_text() == "seed: 0\n"
    assert not (clone / "calls").exists()
    (clone / "params.yaml").write_text("seed: 2\n")
    head = run(clone, "git", "rev-parse", "HEAD").split()[0]
    done = follow(clone, script("plates", "7", MADE | {"git_commit": head}, "seed: 1\n"))
    assert done.returncode == 1
    assert "use a fresh clone" in done.stdout
    assert (clone / "params.yaml").read_text() == "seed: 2\n"


def test_uncommitted_changes_are_warned_of_and_what_dvc_writes_is_none(clone: Path) -> None:
    (clone / "dvc.lock").write_text("{}\n")
    head = commit(clone)
    (clone / "dvc.lock").write_text("{} \n")
    assert project_version() == {"git_commit": head, "git_dirty": "false"}
    assert "WARNING" not in script("plates", "7", MADE | project_version(), "")
    (clone / "params.yaml").write_text("seed: 2\n")
    assert project_version() == {"git_commit": head, "git_dirty": "true"}
    assert "WARNING: it was made with uncommitted changes" in script("plates", "7", MADE | project_version(), "")
