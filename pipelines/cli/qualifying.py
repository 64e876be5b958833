"""Proof before a model goes to the line: what it finds; and why a picture has its verdict."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.models import OtherModel
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category, Json
from pipelines.core.percent import rate_of


def certify(
    category: Category,
    mm_per_pixel: Annotated[
        float | None, typer.Option(help="of the photographs: sizes are given in mm, too", show_default=False)
    ] = None,
    smallest: Annotated[float | None, typer.Option(help="defect, in pixels; default: 1 % of the shorter side")] = None,
    largest: Annotated[float | None, typer.Option(help="defect, in pixels; default: 32 % of it")] = None,
    per_step: Annotated[int, typer.Option(help="drawings of each size, kind and contrast", min=4, max=100)] = 8,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="draw beside the part, too: where it was not told from the background")
    ] = False,
    model: OtherModel = None,
) -> None:
    """Say which defects are found, and from which size on.

    Draws defects on good test images and has the model judge them. Writes reports/<category>/certificate.html.

    \b
    fastflow certify bottle
    fastflow certify bottle --mm-per-pixel 0.05 --smallest 4 --largest 80
    """
    require_project(category)
    if mm_per_pixel is not None and not 0 < mm_per_pixel < float("inf"):
        raise ValueError(f"--mm-per-pixel is {mm_per_pixel}; allowed: a number above 0, such as 0.05")
    from pipelines.core.params import read_params
    from pipelines.qualification.certify import certify
    from pipelines.qualification.material import Options

    options = Options(mm_per_pixel, smallest, largest, per_step, anywhere)
    certify(category, read_params(), model=model, options=options)


def explain(
    category: Category,
    image: Annotated[Path, typer.Argument(help="a photograph", show_default=False)],
    html: Annotated[Path | None, typer.Option(help="a page to write, with pictures", show_default=False)] = None,
    json: Json = False,
    model: OtherModel = None,
) -> None:
    """Say why a photograph has its verdict.

    Which scale and which term made its score, where, and which good training image is most like it.

    \b
    fastflow explain bottle photograph.png --html why.html
    fastflow explain bottle photograph.png --json
    """
    require_project(category)
    from pipelines.core.params import read_params
    from pipelines.qualification.explain import explain

    explain(category, image, read_params(), model=model, html=html, as_json=json)


def tolerance(
    category: Category,
    limit: Annotated[
        str | None,
        typer.Option(help="of good parts rejected, such as 2%; default: the threshold's", show_default=False),
    ] = None,
    json: Json = False,
    model: OtherModel = None,
) -> None:
    """Say how much light, focus and position may change.

    Changes good test images in steps, until too many are rejected. Writes reports/<category>/tolerance.html.

    \b
    fastflow tolerance bottle
    fastflow tolerance bottle --limit 2% --json
    """
    require_project(category)
    most = rate_of(limit)
    from pipelines.core.params import read_params
    from pipelines.qualification.tolerance import show, tolerance

    show(tolerance(category, read_params(), limit=most, model=model), as_json=json)


def learning(
    category: Category,
    more: Annotated[
        int | None,
        typer.Option(help="photographs that you might take; default: as many again", min=1, show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option(help="trainings of each number of photographs", min=2, max=20)] = 3,
    certified: Annotated[
        bool, typer.Option("--certify", help="with the size from which on drawn spots are found, of each training")
    ] = False,
    json: Json = False,
) -> None:
    """Say whether more photographs would help.

    Trains on 8, 16, 32, ... of the good images, which takes a while; interrupted, the same command goes on. Writes
    reports/<category>/learning.html.

    \b
    fastflow learning bottle
    fastflow learning bottle --more 60 --certify
    """
    require_project(category)
    from pipelines.core.params import read_params
    from pipelines.qualification.learning import learning, show

    show(learning(category, read_params(), num_seeds=seeds, more=more, certify=certified), as_json=json)


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, certify, explain, tolerance, learning)
