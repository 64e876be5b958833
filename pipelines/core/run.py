"""A stage's command: its one option, the lock on its output, its exit code."""

from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from pipelines.core.lock import locked
from pipelines.core.params import Params, read_params
from pipelines.core.paths import STATE
from pipelines.core.signals import end_with_dvc
from pipelines.core.stage import exit_code

LOCKS = STATE / "locks"
Category = Annotated[str, typer.Option(help="one product, a folder of data.root")]


def run_category_stage(work: Callable[[str, Params], None], *, doc: str | None) -> NoReturn:
    """Runs `work(category, params)` for `--category`, one process at a time; ends this process with the exit code,
    after one sentence on stderr."""

    def stage(category: Category) -> None:
        end_with_dvc()
        raise typer.Exit(exit_code(lambda: run_alone(work, category)))

    _parse(stage, doc)


def run_stage(work: Callable[[Params], None], *, doc: str | None) -> NoReturn:
    """Runs `work(params)` for a stage of all categories; ends this process with the exit code."""

    def stage() -> None:
        raise typer.Exit(exit_code(lambda: work(read_params())))

    _parse(stage, doc)


def run_alone(work: Callable[[str, Params], None], category: str) -> None:
    """Calls `work(category, params)`; a second process with the same work waits for the first."""
    params = read_params()
    LOCKS.mkdir(parents=True, exist_ok=True)
    name = f"{work.__name__}@{category}"
    with locked(LOCKS / f"{name}.lock", what=name):
        work(category, params)


def _parse(stage: Callable[..., None], doc: str | None) -> NoReturn:
    """Calls `stage` with the options of the command line; ends with exit code 2 where they are wrong."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=doc)(stage)
    app()
    raise AssertionError("typer ends the process")
