"""Where in a category's pictures anything is looked at."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category


def roi(
    category: Category,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="a mask (PNG, above 0 is inside), or JSON of labelme or COCO; default: say what there is",
            show_default=False,
        ),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="x,y,width,height in pixels of the picture", show_default=False)
    ] = None,
    ignore: Annotated[bool, typer.Option("--ignore", help="what is marked is left out, all else counts")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="all of a picture counts again")] = False,
) -> None:
    """Say where in a picture anything is looked at.

    Nothing outside trains, calibrates, scores or is evaluated. Draws the region over five good pictures, in
    .state/roi/<category>.png. The category is to be trained again.

    \b
    fastflow roi bottle region.png
    fastflow roi bottle --ignore --box 0,0,120,40 --box 0,860,900,40
    """
    require_project(category)
    from pipelines.core.params import read_params
    from pipelines.data import roi as region
    from pipelines.data.roi_file import box_of

    boxes = [box_of(one) for one in box or []]
    if remove and (file or boxes or ignore):
        raise ValueError("--remove takes neither a file nor --box nor --ignore")
    if ignore and not (file or boxes):
        raise ValueError("--ignore needs a file or --box that marks what is to be left out")
    if remove:
        region.remove(category, read_params())
    elif file or boxes:
        region.keep(category, read_params(), file=file, boxes=boxes, ignore=ignore)
    else:
        region.show(category, read_params())


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, roi)
