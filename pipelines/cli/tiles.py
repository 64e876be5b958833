"""How large pictures are cut into tiles, where defects are small."""

from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category


def tiles(
    category: Category,
    smallest_defect: Annotated[
        str | None,
        typer.Option(help="across its thinnest part, such as 0.3mm, or 6px of the photograph", show_default=False),
    ] = None,
    mm_per_pixel: Annotated[
        float | None,
        typer.Option(help="of the photographs; default: that of params.yaml (regions)", show_default=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="write the proposal to params.yaml")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="look at pictures in one piece again")] = False,
) -> None:
    """Propose tiles for the smallest defect that is to be found.

    Without options, says what params.yaml has. Writes nothing but with --keep and --remove; then the category is to be
    trained again.

    \b
    fastflow tiles bottle --smallest-defect 0.3mm --mm-per-pixel 0.05
    fastflow tiles bottle --smallest-defect 6px --keep
    """
    require_project(category)
    from pipelines.core.params import read_params
    from pipelines.data import tiles as cutting

    if smallest_defect is None and (keep or mm_per_pixel is not None):
        raise ValueError("--keep and --mm-per-pixel need --smallest-defect, such as 0.3mm or 6px")
    if remove and smallest_defect is not None:
        raise ValueError("--remove takes no --smallest-defect")
    if remove:
        cutting.remove(category, read_params())
    elif smallest_defect is None:
        cutting.show(category, read_params())
    else:
        cutting.propose(category, read_params(), smallest_defect, mm_per_pixel=mm_per_pixel, keep=keep)


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, tiles)
