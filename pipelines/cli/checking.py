"""Is the inspection itself in order? The same part again, and parts whose verdict is known."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.models import MODEL_HELP
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category, Json


def repeatability(
    category: Category,
    folder: Annotated[
        Path, typer.Argument(help="PART/SHOT.png, or OPERATOR/PART/SHOT.png in it", metavar="DIR", show_default=False)
    ],
    model: Annotated[str | None, typer.Option(help=f"{MODEL_HELP}; default: models/<category>")] = None,
    json: Json = False,
) -> None:
    """Say whether the same part gets the same score and verdict again.

    Gauge R&R of several shots of the same parts: %GRR, distinct categories, verdicts that flip, kappa. Writes
    reports/<category>/repeatability.html.

    \b
    fastflow repeatability bottle study/
    fastflow repeatability bottle study/ --model models:/fastflow-bottle@champion
    """
    require_project(category)
    from pipelines.core.params import read_params
    from pipelines.qualification.repeatability import repeatability

    repeatability(category, folder, read_params(), model=model, as_json=json)


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, repeatability)
