"""Common to every command: its failure as one sentence and an exit code.

The function that does a command's work is imported in the command's body: to import PyTorch, MLflow or DVC
takes seconds, and `fastflow --help` should be quick.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from pipelines.core.names import check_categories
from pipelines.core.stage import FAILED, exit_code
from pipelines.core.terminal import escape_controls

P = ParamSpec("P")
STATE = {"debug": False}


def add_commands(app: typer.Typer, *commands: Callable[..., None]) -> None:
    """Adds each as a command of its name."""
    for command in commands:
        app.command()(with_exit_code(command))


def with_exit_code(command: Callable[P, None]) -> Callable[P, None]:
    """The command, and where it fails, one sentence on stderr and the exit code that pipelines/core/stage.py lists."""

    @functools.wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            code = exit_code(lambda: command(*arguments, **options))
        except typer.Exit:
            raise
        except Exception as error:
            if STATE["debug"]:
                raise
            fault = f"{type(error).__name__}: {error}; this is an internal error: --debug shows the traceback"
            print(escape_controls(f"error: {fault}"), file=sys.stderr)
            raise typer.Exit(FAILED) from error
        if code:
            raise typer.Exit(code)

    return run


def require_project(*categories: str) -> None:
    """Raises ValueError where this folder is no project, or params.yaml has no such category."""
    if not Path("params.yaml").is_file():
        raise ValueError(
            "no params.yaml in this folder; run fastflow in the project's folder, or name that: fastflow -C FOLDER"
        )
    check_categories(categories, every_category() if categories else [])


def every_category() -> list[str]:
    """Those of params.yaml."""
    from pipelines.core.params import read_params

    return read_params().data.categories
