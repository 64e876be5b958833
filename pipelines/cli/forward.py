"""From the command line's words to the command that does the work, which is imported only then: PyTorch, MLflow and DVC
take seconds, and `fastflow --help` has none to give."""

import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import typer

from pipelines.stage import FAILED, INTERRUPTED, TERMINATED, exit_code

STATE = {"debug": False}


def forward(module: str, *words: object, **options: object) -> None:
    """Runs `pipelines.<module>` as its own command would be, with these words and options; ends with its exit code.

    None and False are left out, True is a flag, a list is repeated.
    """
    arguments = [str(word) for word in words]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, list):
            arguments += [part for one in value for part in (flag, str(one))]
        elif value is True:
            arguments.append(flag)
        elif value is not None and value is not False:
            arguments += [flag, str(value)]
    sys.argv = [f"fastflow {module}", *arguments]

    def work() -> None:
        import_module(f"pipelines.{module}").main()

    run(work)


def stages(*names: str, force: bool = False) -> None:
    """DVC brings these stages up to date, as `dvc repro` does: what has not changed is not done again."""

    def work() -> None:
        from pipelines.dvc import DVC, stage_environment

        command = [*DVC, "repro", *names] + ["--force", "--single-item"] * force
        code = subprocess.run(command, env=stage_environment(), check=False).returncode
        if code:  # DVC has told which stage failed; its own code is 255
            raise SystemExit(code if code in (INTERRUPTED, TERMINATED) else FAILED)

    run(work)


def run(work: Callable[[], None]) -> None:
    """Calls `work`, progress and log on stderr; ends this process with the exit code that pipelines/stage.py lists."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        raise typer.Exit(exit_code(work))
    except (typer.Exit, SystemExit):
        raise
    except Exception as error:
        if STATE["debug"]:
            traceback.print_exc()
        print(f"error: {type(error).__name__}: {error}; this is a fault of ours: --debug says where", file=sys.stderr)
        raise typer.Exit(FAILED) from error


def require_project() -> None:
    """Ends with exit code 2 where this folder is no project."""
    if not Path("params.yaml").is_file():
        print("error: no params.yaml in this folder; run fastflow in the project's own folder", file=sys.stderr)
        raise typer.Exit(2)


def each(categories: Sequence[str] | None, stage: str) -> list[str]:
    """DVC's names of a stage, for these categories or all."""
    if not categories:
        from pipelines.params import read_params

        categories = read_params().data.categories
    return [f"{stage}@{category}" for category in categories]
