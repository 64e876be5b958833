"""What `doctor` looks at around a project: git, the code that runs, the folder where it stood before, the demo."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pipelines
from pipelines.core.params import Params
from pipelines.core.paths import DEMO
from pipelines.monitoring.diagnosis import Remark
from pipelines.registry.place import correct_place, earlier_place


def surroundings(params: Params) -> Iterator[Remark]:
    yield from git()
    yield from code()
    yield from store_place()
    yield from unused_demo(params)


def git() -> Iterator[Remark]:
    """A repository that git opens: without it DVC does nothing, and a run records no commit."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        yield Remark("fail", "git", "git is not installed", "install git")
        return
    here = Path.cwd()
    if "dubious ownership" in done.stderr:
        message = f"{here} belongs to another user, and git refuses it: runs record no commit"
        yield Remark("fail", "git", message, f"git config --global --add safe.directory '{here}'")
    elif "not a git repository" in done.stderr:
        remedy = "git clone the project instead; or: git init && git add . && git commit -m start"
        lost = "runs record no commit" if _without_git() else "DVC, and with it fastflow report, does nothing here"
        yield Remark("warn" if _without_git() else "fail", "git", f"{here} is no git repository: {lost}", remedy)
    elif done.returncode:
        yield Remark("warn", "git", "there is no commit yet: runs record none", "git add . && git commit -m start")
    else:
        yield Remark("ok", "git", done.stdout.strip()[:12])


def _without_git() -> bool:
    """Whether DVC was told so: dvc init --no-scm."""
    config = Path(".dvc/config")
    return config.is_file() and "no_scm = true" in config.read_text().lower()


def code() -> Iterator[Remark]:
    """Commands and stages should run the same code: those of a copied .venv are of the folder that it was made in."""
    runs, here = Path(str(pipelines.__file__)).resolve().parent, Path("pipelines").resolve()
    if here.is_dir() and runs != here:
        message = f"the command runs the code in {runs.parent}, stages run the code in this folder"
        yield Remark("warn", "code", message, "make setup; then: . .venv/bin/activate")


def store_place() -> Iterator[Remark]:
    """After a move or a copy the next use of the store corrects this, too."""
    if before := earlier_place():
        message = f"it names {before}, where this project, or the one that it is a copy of, was before"
        yield Remark("warn", "MLflow store", message, "fastflow doctor --fix", _correct)


def _correct() -> None:
    correct_place()


def unused_demo(params: Params) -> Iterator[Remark]:
    """Stages that draw what nobody uses: a clone's `dvc pull` fails on their images where those were never pushed."""
    if Path(params.data.root) != DEMO and params.demo.categories:
        message = f"params.yaml has {', '.join(params.demo.categories)} drawn, and data.root is {params.data.root}"
        yield Remark("warn", "demo", message, "set demo.categories to [] there, so that dvc pull works elsewhere")
