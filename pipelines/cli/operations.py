"""The commands that `make`, the flows and other processes start: python -m pipelines.cli.operations up

The command for users is `fastflow`, in app.py. Exit codes are the same; the log goes to stdout, as it is the output of
these commands.
"""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import runner

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
)


@app.callback()
def options() -> None:
    runner.STATE["debug"] = True  # their output goes to a log, which needs the traceback of an internal error


def up(prefect_port: int = 4200, mlflow_port: int = 5000) -> None:
    """Start Prefect's server, MLflow's, and a worker for prefect.yaml; print what to open."""
    from pipelines.orchestration.services import up

    up(prefect_port=prefect_port, mlflow_port=mlflow_port)


def down() -> None:
    """End exactly what `up` started."""
    from pipelines.orchestration.services import down

    down()


def status() -> None:
    """Name what `up` started, and whether it still runs."""
    from pipelines.orchestration.services import status

    status()


def deploy() -> None:
    """Apply prefect.yaml after a change of it."""
    from pipelines.orchestration.services import deploy

    deploy()


def ui(port: int = 5000) -> None:
    """Show MLflow's pages alone, until Ctrl-C."""
    from pipelines.orchestration.services import ui

    ui(port=port)


def schedule() -> None:
    """Serve the deployments of prefect.yaml from this process, without work pool and worker.

    It needs a Prefect server: that of `up` (its settings are found by themselves), or PREFECT_API_URL.
    """
    from pipelines.orchestration.schedule import serve_deployments

    serve_deployments()


def flow(
    category: Annotated[list[str] | None, typer.Option(help="only this one; may be repeated")] = None,
    epochs: Annotated[int | None, typer.Option(help="of this run alone, in place of params.yaml's")] = None,
    force: Annotated[bool, typer.Option("--force", help="train even where nothing changed")] = False,
    no_promote: Annotated[bool, typer.Option("--no-promote", help="do not ask the gate")] = False,
) -> None:
    """Run the Prefect flow that retrains what has changed, with no server at all."""
    from pipelines.orchestration.flows import retrain_now  # first: Prefect does not set up a log where there is one

    runner.with_exit_code(retrain_now)(category, epochs=epochs, force=force, promote=not no_promote)


def retrain(context: typer.Context) -> None:
    """As `flow`, with its options, and a signal or Ctrl-C ends the stages after their step."""
    from pipelines.orchestration.retrain import retrain

    raise typer.Exit(retrain(context.args))


def champion(category: str) -> None:
    """Score today's test images with the champion. Exit code 1: it is worse, or cannot be loaded."""
    from pipelines.core.run import run_alone
    from pipelines.promotion.champion import check_champion

    run_alone(check_champion, category)


def follow(
    journal: Path,
    live: Annotated[bool, typer.Option("--live", help="and those of other runs while these write them")] = False,
) -> None:
    """Upload a run's journal to MLflow while the run writes it."""
    from pipelines.tracking.uploader import follow

    follow(journal, live=live)


def convert(model: str, to: Path, sha256: str = "") -> None:
    """Write a model as ONNX for the server."""
    from pipelines.serving.convert import convert

    convert(model, to, sha256=sha256)


def why(category: str, image: Path, model: str) -> None:
    """Print as JSON why a model gives a photograph its score, for the server."""
    from pipelines.core.params import read_params
    from pipelines.qualification.explain import answer

    os.nice(10)  # verdicts come first
    print(json.dumps(answer(category, image, read_params(), model=model)))


runner.add_commands(app, up, down, status, deploy, ui, schedule, champion, follow, convert, why)
app.command()(flow)
PASS_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
app.command(context_settings=PASS_OPTIONS)(runner.with_exit_code(retrain))

if __name__ == "__main__":
    app(prog_name="python -m pipelines.cli.operations")
