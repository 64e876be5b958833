"""From the command line's words to the command that does the work, which is imported only then: PyTorch, MLflow and DVC
take seconds, and `fastflow --help` has none to give."""

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import typer

from pipelines.core.names import check_categories
from pipelines.core.stage import FAILED, USAGE, exit_code

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
    sys.argv = [f"fastflow {module.rpartition('.')[2]}", *arguments]

    def work() -> None:
        import_module(f"pipelines.{module}").main()

    run(work)


def stages(*names: str, force: bool = False) -> None:
    """DVC brings these stages up to date, as `dvc repro` does: what has not changed is not done again."""

    def work() -> None:
        from pipelines.cli.repro import reproduce

        categories = [name.partition("@")[2] for name in names if "@" in name]
        if code := reproduce(names, categories or every_category(), force=force):
            raise SystemExit(code)

    run(work)


def run(work: Callable[[], None]) -> None:
    """Calls `work`, progress and log on stderr; ends this process, where that fails, with the exit code that
    pipelines/core/stage.py lists."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        code = exit_code(work)
    except (typer.Exit, SystemExit):
        raise
    except Exception as error:
        if STATE["debug"]:
            traceback.print_exc()
        print(f"error: {type(error).__name__}: {error}; this is a fault of ours: --debug says where", file=sys.stderr)
        raise typer.Exit(FAILED) from error
    if code:
        raise typer.Exit(code)


def require_project(*categories: str) -> None:
    """Ends with exit code 2 where this folder is no project, or params.yaml has no such category."""
    if not Path("params.yaml").is_file():
        refuse("no params.yaml in this folder; run fastflow in the project's folder, or name that: fastflow -C FOLDER")
    try:
        check_categories(categories, every_category() if categories else [])
    except ValueError as error:
        refuse(str(error))


def every_category() -> list[str]:
    """Those of params.yaml; ends with exit code 2 where it cannot be read."""
    from pipelines.core.params import BadParams, read_params

    try:
        return read_params().data.categories
    except BadParams as error:
        refuse(str(error))


def refuse(sentence: str) -> NoReturn:
    """Ends with exit code 2, which is for what a person wrote."""
    print(f"error: {sentence}", file=sys.stderr)
    raise typer.Exit(USAGE)


def each(categories: Sequence[str] | None, stage: str) -> list[str]:
    """DVC's names of a stage, for these categories or all."""
    return [f"{stage}@{category}" for category in categories or every_category()]
