"""What a person says of the line's verdicts, and that into data."""

from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category


def review(
    category: Category,
    apply: Annotated[bool, typer.Option("--apply", help="decisions become data; asks first")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="of --apply: without being asked")] = False,
    host: Annotated[str, typer.Option(help="address to listen on; others need FASTFLOW_TOKEN")] = "127.0.0.1",
    port: int = 8081,
) -> None:
    """Look at the line's verdicts, and say what is right.

    Serves a page of what fastflow watch has kept: rejects, passes near the threshold, a random sample of passes. With
    --apply, good pictures become training images, and defects test images.

    \b
    fastflow review bottle
    fastflow review bottle --apply
    """
    require_project(category)
    if yes and not apply:
        raise ValueError("--yes is of --apply")
    from pipelines.core.params import read_params
    from pipelines.line.settings import Review, read_line

    if apply:
        from pipelines.review.apply import apply_decisions

        apply_decisions(category, read_params(), yes=yes)
        return
    from pipelines.review.serve import review

    review(category, read_params(), (read_line().review or Review()).rule, host=host, port=port)


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, review)
