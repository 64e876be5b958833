"""`fastflow train` and flows around a real DVC with stages of one line: what is told, and what a failure leaves."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from pipelines import flow_tasks
from pipelines.dvc import StageFailed, run_stage
from tests.conftest import ROOT, of_a_user

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
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli.app", *words]


def fastflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=folder, env=of_a_user(ROOT), capture_output=True, text=True, check=False)


def test_it_says_what_runs_and_how_far_it_is_and_nothing_of_dvcs_own(project: Path) -> None:
    said = fastflow(project, "train")
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.split("\n") == ["", "train a (1 of 2)", "", "train b (2 of 2)", ""]
    said = fastflow(project, "train")
    assert said.stderr == "nothing had changed: all is up to date\n"
    (project / "in/a").write_text("second a\n")
    assert fastflow(project, "train", "a").stderr == "\ntrain a\n"
    (project / "in/a").write_text("first a\n")
    assert fastflow(project, "train", "a").stderr == "\ntrain a: known from before, restored\n"
    assert (project / "models/a/config.json").read_text() == "first a\n"


def test_after_a_training_that_failed_the_model_of_before_is_there(project: Path) -> None:
    assert fastflow(project, "train").returncode == 0
    (project / "in/a").write_text("second a\n")
    (project / "how").write_text("echo 'error: it will not' >&2; rm -r models/a; exit 3\n")
    said = fastflow(project, "train", "a")
    assert said.returncode == 1
    assert "error: it will not" in said.stderr
    assert said.stderr.endswith("models/a is again the model of before\n")
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
    monkeypatch.setattr(flow_tasks, "stage_task", Plainly())
    monkeypatch.setattr(flow_tasks, "CATEGORY_STAGES", ("train",))
    assert flow_tasks.run_stages("a") == {"train@a": "ran"}
    (project / "in/a").write_text("second a\n")
    (project / "how").write_text("rm -r models/a; exit 3\n")
    with pytest.raises(StageFailed, match="exit code 3"):
        flow_tasks.run_stages("a")
    assert (project / "models/a/config.json").read_text() == "first a\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_dvc_too_and_gives_the_model_back(project: Path, number: int, code: int) -> None:
    assert fastflow(project, "train").returncode == 0
    (project / "in/b").write_text("second b\n")
    (project / "how").write_text("rm -r models/b; echo $$ > pid; exec sleep 60\n")
    process = subprocess.Popen(
        command("train", "b"), cwd=project, env=of_a_user(ROOT), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    pid = project / "pid"
    while not (pid.is_file() and pid.read_text().strip()):
        time.sleep(0.05)
    stage = psutil.Process(int(pid.read_text()))
    dvc = psutil.Process(process.pid).children()[0]
    process.send_signal(number)  # to this process alone, as a supervisor does
    until = time.monotonic() + 20  # long before its stage ends
    while dvc.status() != psutil.STATUS_ZOMBIE:  # its parent still reads what the stage says
        assert time.monotonic() < until, "DVC goes on"
        time.sleep(0.05)
    stage.kill()  # a stage of ours ends by itself when its DVC is gone
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the same command goes on where this one was" in told.decode()
    assert told.decode().endswith("models/b is again the model of before\n")
    assert (project / "models/b/config.json").read_text() == "first b\n"


def test_an_unknown_category_is_told_with_the_nearest(project: Path) -> None:
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("- b\n", "- bracket\n"))
    said = fastflow(project, "train", "a", "braket")
    assert said.returncode == 2
    assert said.stderr == (
        "error: no category 'braket' in params.yaml (data.categories), which has a, bracket; did you mean 'bracket'?\n"
    )
