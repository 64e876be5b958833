"""`fastflow train` and flows around a real DVC with stages of one line: what is printed, and what a failure leaves."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipelines.core.dvc import StageFailed, run_stage
from pipelines.core.stage import SERVER_AWAY
from pipelines.orchestration import stage_tasks
from tests.conftest import ROOT, of_a_user, read_until, until

PYTHON = f"PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)}"
STAGE_COMMAND = f"{PYTHON} stage.py"
TRAIN = "mkdir -p models/{c} && cat in/{c} > models/{c}/config.json && . ./how"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Categories a and b; a training copies its input, then does what the file `how` says."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] = {"root": "in", "categories": ["a", "b"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    stage = {
        "matrix": {"category": ["a", "b"]},
        "cmd": TRAIN.format(c="${item.category}"),
        "deps": ["in/${item.category}"],
        "outs": ["models/${item.category}"],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / name).write_text(f"first {name}\n")
    (tmp_path / "how").write_text("true\n")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True, timeout=120)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli.app", *words]


def fastflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=folder, env=of_a_user(ROOT), capture_output=True, text=True, check=False, timeout=120
    )


def test_it_says_what_runs_and_how_far_it_is_and_nothing_of_dvcs_own(project: Path) -> None:
    said = fastflow(project, "train")
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.split("\n") == ["", "train a (1 of 2)", "", "train b (2 of 2)", ""]
    said = fastflow(project, "train")
    assert said.stderr == "nothing has changed: everything is up to date\n"
    (project / "in/a").write_text("second a\n")
    assert fastflow(project, "train", "a").stderr == "\ntrain a\n"
    (project / "in/a").write_text("first a\n")
    assert fastflow(project, "train", "a").stderr == "\ntrain a: restored from cache\n"
    assert (project / "models/a/config.json").read_text() == "first a\n"


def test_after_a_training_that_failed_the_model_of_before_is_there(project: Path) -> None:
    assert fastflow(project, "train").returncode == 0
    (project / "in/a").write_text("second a\n")
    (project / "how").write_text("echo 'error: it will not' >&2; rm -r models/a; exit 3\n")
    said = fastflow(project, "train", "a")
    assert said.returncode == 1
    assert "error: it will not" in said.stderr
    assert said.stderr.endswith("models/a is again the previous model\n")
    assert (project / "models/a/config.json").read_text() == "first a\n"
    (project / "how").write_text("true\n")
    assert fastflow(project, "train", "a").returncode == 0, "it is still to be trained"
    assert (project / "models/a/config.json").read_text() == "second a\n"


def test_after_a_training_that_failed_in_a_flow_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plainly:
        """The task without Prefect."""

        def with_options(self, **_: object) -> Callable[..., str]:
            return lambda stage, **_: run_stage(stage, on_line=print)

    monkeypatch.chdir(project)
    monkeypatch.setattr(stage_tasks, "stage_task", Plainly())
    monkeypatch.setattr(stage_tasks, "CATEGORY_STAGES", ("train",))
    assert stage_tasks.run_stages("a") == {"train@a": "ran"}
    (project / "in/a").write_text("second a\n")
    (project / "how").write_text("rm -r models/a; exit 3\n")
    with pytest.raises(StageFailed, match="exit code 3"):
        stage_tasks.run_stages("a")
    assert (project / "models/a/config.json").read_text() == "first a\n"


STAGE = """
import sys, time
from pathlib import Path
from pipelines.core.signals import deferred_signals, end_with_dvc
from pipelines.core.stage import exit_code
def work():
    end_with_dvc()
    with deferred_signals() as check:
        Path("began").write_text("")
        for _ in range(120):  # nobody has to end it
            time.sleep(1)
            try:
                check()
            finally:
                Path("steps").open("a").write(".")
sys.exit(exit_code(work))
"""


def to_it_alone(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)


def to_its_group(process: subprocess.Popen[bytes], number: int) -> None:
    os.killpg(process.pid, number)


@pytest.mark.parametrize(
    ("number", "code", "send"),
    [
        pytest.param(signal.SIGINT, 130, to_its_group, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, to_it_alone, id="a supervisor", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 143, to_its_group, id="a terminal closed", marks=pytest.mark.slow),
    ],
)
def test_a_signal_lets_the_step_end_and_gives_the_model_back(
    project: Path, number: int, code: int, send: Callable[[subprocess.Popen[bytes], int], None]
) -> None:
    assert fastflow(project, "train").returncode == 0
    (project / "in/b").write_text("second b\n")
    (project / "stage.py").write_text(STAGE)
    (project / "how").write_text(f"rm -r models/b; {STAGE_COMMAND}\n")
    process = subprocess.Popen(
        command("train", "b"), cwd=project, env=of_a_user(ROOT), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    until((project / "began").exists, process)
    send(process, number)
    _, output = process.communicate(timeout=30)
    assert process.returncode == code
    assert (project / "steps").is_file(), "it was ended within a step"
    assert output.decode().count("stopping after this step") == 1
    assert "the same command resumes where this one stopped" in output.decode()
    assert output.decode().endswith("models/b is again the previous model\n")
    assert (project / "models/b/config.json").read_text() == "first b\n"
    (project / "how").write_text("true\n")
    assert fastflow(project, "train", "b").stderr == "\ntrain b\n"  # no lock was left behind, no word of one


def test_a_second_command_is_reported_of_the_first_and_touches_nothing(project: Path) -> None:
    assert fastflow(project, "train").returncode == 0
    (project / "stage.py").write_text(STAGE)
    (project / "how").write_text(f"rm -r models/b; {STAGE_COMMAND}\n")
    first = subprocess.Popen(
        command("train", "--force", "b"), cwd=project, env=of_a_user(ROOT), stderr=subprocess.DEVNULL
    )
    until((project / "began").exists, first)
    second = fastflow(project, "train", "b")
    assert second.returncode == 1
    assert second.stderr.startswith(f"error: b is being worked on; try again when that has ended: process {first.pid} ")
    assert second.stderr.count("\n") == 1
    assert not (project / "models/b").exists()
    output = fastflow(project, "threshold", "b")
    assert "models/b is not there; it is being trained now, by process " in output.stderr
    first.terminate()
    assert first.wait(30) == 143
    (project / "how").write_text("true\n")
    assert fastflow(project, "train", "b").returncode == 0, "what the first left behind is in the way"


def test_a_second_signal_ends_it_within_the_step(project: Path) -> None:
    (project / "stage.py").write_text(STAGE.replace("time.sleep(1)", "time.sleep(60)"))
    (project / "how").write_text(f"{STAGE_COMMAND}\n")
    process = subprocess.Popen(command("train", "b"), cwd=project, env=of_a_user(ROOT), stderr=subprocess.PIPE)
    until((project / "began").exists, process)
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    read_until(process.stderr.fileno(), b"stopping after this step")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not (project / "steps").exists()


def test_the_exit_code_is_that_of_the_stage(project: Path) -> None:
    stage = "import os, pipelines.core.stage as s; raise SystemExit(s.exit_code(lambda: os.stat('away')))"
    (project / "how").write_text(f'{PYTHON} -c "{stage}"\n')
    assert fastflow(project, "train").returncode == SERVER_AWAY


def test_an_unknown_category_is_reported_with_the_nearest(project: Path) -> None:
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("- b\n", "- bracket\n"))
    said = fastflow(project, "train", "a", "braket")
    assert said.returncode == 2
    assert said.stderr == (
        "error: no category 'braket' in params.yaml (data.categories), which has a, bracket; did you mean 'bracket'?\n"
    )
