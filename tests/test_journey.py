"""The commands of the README as they stand there, in its order, by a new user in a project and a home of their own."""

import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipelines.core.params_edit import write_values
from pipelines.orchestration.services import answers as listens
from tests.conftest import ROOT, draw_square, free_port, of_a_user
from tests.serving.kit import answers
from tests.test_docs import lines_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
README = ROOT / "README.md"
INIT = "fastflow init ~/photos/bracket --name bracket"
SERVE = "fastflow serve --model models:/fastflow-bracket@champion"
MVTEC = "fastflow init mvtec_ad --name bottle"
BACK = "fastflow init data/own/bracket --name bracket"
WATCH = "fastflow watch bracket /mnt/camera"
REVIEW = "fastflow review bracket"
ROI = "fastflow roi bracket region.png"
ACCURACY = "python -m benchmarks.accuracy --data-root DIR --category NAME --seeds 3"
OTHERWISE = {
    "make demo": "tests/demo/test_demo.py and tests/test_pipeline.py: minutes",
    "make test": "this is it",
    ". .venv/bin/activate": "the tests run in it",
    MVTEC: "its report needs the network; tests/data/test_add_category.py",
    BACK: "the same",
    SERVE: "the test below: it does not end by itself",
    WATCH: "it does not end by itself; tests/line/test_watch.py",
    REVIEW: "it does not end by itself; tests/review/test_page.py",
    ROI: "the region is the reader's; tests/data/test_roi_command.py",
    ACCURACY: "DIR and NAME are the reader's; tests/benchmarks/test_accuracy.py",
}
SAYS = {  # exit code and words, where they are not 0 and any
    "fastflow promote bracket": (6, "a person decides on a category's first champion"),
    "fastflow certify bracket": (3, "good"),  # of 24 photographs 5 are set apart
    "fastflow rollback bracket": (2, "no previous champion"),
    "fastflow drift bracket scores.csv": (0, "too few to tell"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of a phone: good ones, and some with a scratch."""
    folder = tmp_path_factory.mktemp("home")
    for kind, count in (("good", 24), ("scratch", 4)):
        (folder / "photos/bracket" / kind).mkdir(parents=True)
        for i in range(count):
            pixels, _ = draw_square(seed=i + 100 * (kind == "scratch"), defect=kind == "scratch", size=96)
            Image.fromarray(pixels).save(folder / f"photos/bracket/{kind}/IMG_{i:04}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def project(home: Path) -> Path:
    """A clone whose params.yaml asks for a small model; the README's reader has more time."""
    folder = home / "fastflow"
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    small = {"model.overrides": {"image_size": [64, 64], "layers": [1, 2], "flow_steps": 2}, "train.epochs": 2}
    small |= {"gate.image_auroc": 0.0, "gate.miss_rate": 1.0, "gate.false_reject_rate": 1.0}
    write_values(small, folder / "params.yaml")
    for command in (
        "git init -q",
        f"{shlex.quote(sys.executable)} -m dvc init -q",
        "git add -A",
        "git commit -qm start",
    ):
        assert run(command, folder, home).returncode == 0
    return folder


def variables(folder: Path, home: Path) -> dict[str, str]:
    return of_a_user(folder) | {"HOME": str(home), "NO_COLOR": "1"}


def run(command: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=variables(folder, home), capture_output=True, text=True, check=False
    )


def commands() -> Iterator[str]:
    for line in lines_of(README):  # a report comes again, after another threshold
        if line not in OTHERWISE:
            yield line


def test_every_command_of_the_readme_does_what_it_says(project: Path, home: Path) -> None:
    ran = list(commands())
    assert ran[0] == INIT
    for command in ran:
        done = run(command, project, home)
        code, words = SAYS.get(command, (0, ""))
        assert done.returncode == code, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        assert words in done.stdout + done.stderr, command
        assert "Traceback" not in done.stderr, command
        assert "Warning" not in done.stderr, f"{command}\n{done.stderr[-3000:]}"
    for made in ("report.html", "scores.csv", "drift/bracket.html", "exports/bracket"):
        assert (project / made).exists(), made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # Ctrl-C, or the terminal is closed
def test_make_ui_prints_the_page_of_the_runs_and_leaves_no_server(
    project: Path, home: Path, number: signal.Signals
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "pipelines.cli.operations", "ui", "--port", str(port)]  # as the Makefile has it
    environment = variables(project, home)
    with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            printed = next(line for line in server.stdout if line.startswith("open "))
            assert printed.split()[1].startswith(f"http://127.0.0.1:{port}/#/experiments/1/runs?")
            assert listens(port)
        finally:
            server.send_signal(number)
        assert server.wait(60) == 0
        assert "mlflow: ended" in server.stdout.read()
    assert not listens(port)


def test_the_service_of_the_readme_answers(project: Path, home: Path) -> None:
    port = free_port()
    command = [*SERVE.split(), "--port", str(port)]
    with subprocess.Popen(command, cwd=project, env=variables(project, home), stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(600):
                if answers(f"http://127.0.0.1:{port}"):
                    break
                assert server.poll() is None, "it ended"
                time.sleep(0.1)
            else:
                raise AssertionError("not ready within a minute")
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) in (0, -signal.SIGTERM)
