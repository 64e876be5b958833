"""The command `fastflow`, one subcommand per task. Results go to stdout, progress and log to stderr.

Exit codes: 0 done, 1 failed, 2 usage, 3 bad data, 4 refused by the gate, 5 a server or disk is unavailable,
6 inconclusive at the gate, 130 interrupted, 141 the reader of stdout has ended, 143 terminated.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import checking, line, models, qualifying, review, roi, tiles, watching, work
from pipelines.cli.runner import STATE
from pipelines.core.terminal import set_up_log

DEFAULT_ENVIRONMENT = {  # as the Makefile does; MLflow's progress bars change the terminal's colours
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
PACKAGE = "fastflow-factory"
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=__doc__,
)


def show_version(asked: bool) -> None:
    if asked:
        print(f"fastflow {version(PACKAGE)}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="tracebacks of internal errors")] = False,
    project: Annotated[
        Path | None, typer.Option("--project", "-C", help="the project's folder; default: this one")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="show it and end", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Finds defects in photographs of parts, learnt from good parts alone."""
    STATE["debug"] = debug
    set_up_log(sys.stderr)  # stdout belongs to the results
    if project:
        os.chdir(project)
    for name, value in DEFAULT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # DVC's own default is a folder that others on this machine may write to
    os.environ.setdefault("DVC_SITE_CACHE_DIR", str(Path(".dvc/site-cache").resolve()))


work.add_commands(app)
roi.add_commands(app)
tiles.add_commands(app)
models.add_commands(app)
qualifying.add_commands(app)
checking.add_commands(app)
watching.add_commands(app)
line.add_commands(app)
review.add_commands(app)


def main() -> None:
    app(prog_name="fastflow")


if __name__ == "__main__":
    main()
