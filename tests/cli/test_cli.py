"""The command line as a person types it, each time in a process of its own or through typer's runner."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from tests.conftest import ROOT, write_plates
from tests.stages import write_tiny_params

COMMANDS = {
    "demo", "init", "validate", "train", "evaluate", "report", "reproduce", "sync", "gc", "backup", "restore", "doctor",
    "score", "export", "serve", "compare", "certify", "explain", "tolerance", "learning", "drift", "fleet", "promote",
    "rollback", "threshold", "sign", "repeatability", "masters", "watch", "roi", "review", "tiles",
}  # fmt: skip


def fastflow(*words: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "120"} | variables
    command = [sys.executable, "-m", "pipelines.cli.app", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def help_of(*words: str) -> str:
    return CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "120"}, prog_name="fastflow").output


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    listed = set(re.findall(r"^  ([a-z]+)  ", help_of(), flags=re.MULTILINE))
    assert listed == COMMANDS
    heavy = "{'torch', 'mlflow', 'pandas', 'prefect', 'numpy'}"
    code = f"import sys, pipelines.cli.app; print(sorted({heavy} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.slow  # by the clock: alone on the machine, best of three
def test_help_comes_at_once() -> None:
    def seconds(*command: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=True)
        return time.perf_counter() - start

    assert min(seconds("-m", "pipelines.cli.app", "--help") for _ in range(5)) < 0.6  # 0.3 s on an idle machine


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_help_has_two_examples_that_name_options_it_has(command: str) -> None:
    text = help_of(command)
    examples = [
        line.strip() for line in text.splitlines() if re.search(r"\bfastflow (?:-C \S+ )?" + command + r"\b", line)
    ]
    examples = [line for line in examples if not line.startswith("Usage")]
    assert len(examples) == 2, text
    for example in examples:
        own = example.partition(f" {command}")[2]
        for option in re.findall(r"(?<!\S)--[a-z-]+", own):
            assert f"{option} " in text.partition("Options:")[2] or f"{option}\n" in text, option


def test_a_slip_of_the_keyboard_is_understood() -> None:
    said = fastflow("scroe", "x.png")
    assert said.returncode == 2
    assert "Did you mean 'score'" in said.stderr


def test_a_folder_that_is_no_project_is_reported(tmp_path: Path) -> None:
    said = fastflow("doctor", folder=tmp_path)
    assert said.returncode == 2
    assert said.stderr.startswith("error: no params.yaml in this folder")
    assert fastflow("-C", str(tmp_path), "sync").returncode == 2


def test_results_are_on_stdout_and_faults_of_data_end_with_3(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    plates = write_plates(tmp_path / "plates")
    said = fastflow("validate", "--folder", "plates", "--json", folder=tmp_path)
    assert said.returncode == 0
    json.loads(said.stdout)
    (plates / "test/good/000.png").write_bytes(b"no image")
    said = fastflow("validate", "--folder", "plates", "--json", folder=tmp_path)
    assert said.returncode == 3
    assert "cannot be read" in said.stdout or "not an image" in said.stdout
    json.loads(said.stdout)
    assert said.stderr.startswith("error: ")
    assert "\x1b" not in said.stdout + said.stderr


def test_validate_without_a_name_takes_the_only_category(tmp_path: Path) -> None:
    write_tiny_params(tmp_path, epochs=1)
    write_plates(tmp_path / "images/plates")
    said = fastflow("validate", folder=tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("16 images; findings: ")
    (tmp_path / "params.yaml").write_text(
        (tmp_path / "params.yaml").read_text().replace("- plates", "- plates\n  - tiles")
    )
    said = fastflow("validate", folder=tmp_path)
    assert said.returncode == 2
    assert "name a category of params.yaml" in said.stderr


def test_what_init_refused_can_be_validated_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_plates(tmp_path / "data/own/plates")
    assert fastflow("validate", "plates", "--json", folder=tmp_path).returncode == 0
    said = fastflow("validate", "plate", folder=tmp_path)
    assert said.returncode == 2
    assert "no category 'plate' in params.yaml" in said.stderr


def test_a_fault_of_ours_is_one_line_and_a_traceback_with_debug(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    shadow = tmp_path / "sitecustomize.py"
    shadow.write_text(
        "import pipelines.monitoring.doctor as d\ndef broken(**_): raise RuntimeError('boom')\nd.doctor = broken\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    said = fastflow("doctor", folder=tmp_path, PYTHONPATH=path)
    assert (said.returncode, said.stderr.count("\n")) == (1, 1), said.stderr
    assert "boom" in said.stderr
    said = fastflow("--debug", "doctor", folder=tmp_path, PYTHONPATH=path)
    assert "Traceback" in said.stderr


def test_completion_is_offered() -> None:
    said = fastflow("--show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", SHELL="/bin/bash")
    assert said.returncode in (0, 2)
    assert "--install-completion" in help_of()


def test_the_installed_command_is_this_one() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'fastflow = "pipelines.cli.app:main"' in text
