"""What became of the models: drift, production over time, the fleet."""

from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.models import OtherModel
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category


def drift(
    category: Category,
    source: Annotated[str | None, typer.Argument(help="a score file or a folder; default: drift.recent")] = None,
    since: Annotated[
        str | None, typer.Option(help="draw what was recorded in production: 12h, 30d, 8w", show_default=False)
    ] = None,
    model: OtherModel = None,
) -> None:
    """Distinguish a new camera or light from new defects.

    Compares recent photographs with those of the calibration. Exit code 1: something changed. With --since: writes
    production/<category>.html, what score, serve and watch recorded, with the worst and the oddest pictures.

    \b
    fastflow drift bottle scores.csv
    fastflow drift bottle --since 30d
    """
    require_project(category)
    from pipelines.core.params import read_params

    if since is not None:
        if source or model:
            raise ValueError("--since draws what was recorded, by any model: leave out the photographs and --model")
        from pipelines.monitoring.production_page import write_production

        write_production(category, read_params(), since=since)
        return
    from pipelines.monitoring.drift import drift

    drift(category, read_params(), source=source, model=model)


def fleet() -> None:
    """All categories on one page, what needs a person on top.

    Champions, the last nights, misses and false rejects, drift, open requests: fleet.html. It is written after each
    retraining, too. A server that is away costs its part of the page.

    \b
    fastflow fleet
    fastflow -C ~/fastflow fleet
    """
    require_project()
    from pipelines.core.params import read_params
    from pipelines.orchestration.fleet import write_fleet

    write_fleet(read_params())


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, drift, fleet)
