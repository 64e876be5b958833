"""From images to an evaluated model: demo, init, validate, train, evaluate, report, sync, gc, doctor, reproduce."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.forward import each, every_category, forward, refuse, require_project, stages

Categories = Annotated[list[str] | None, typer.Argument(help="default: all of params.yaml", show_default=False)]
Category = Annotated[str, typer.Argument(help="a category of params.yaml", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text")]
Force = Annotated[bool, typer.Option("--force", help="though nothing has changed")]


def demo() -> None:
    """Draw three small categories, train and report them.

    Minutes; no download, no GPU.

    \b
    fastflow demo
    fastflow -C ~/fastflow demo
    """
    require_project()
    from pipelines.core.params import read_params
    from pipelines.core.paths import DEMO

    if Path(read_params().data.root) != DEMO:
        refuse("params.yaml names other images than the demo's; for those: fastflow report")
    stages("report")
    forward("reporting.results")


def init(
    source: Annotated[
        Path, typer.Argument(help="photographs in any usual layout; or mvtec_ad, visa: downloaded", show_default=False)
    ],
    name: Annotated[
        str, typer.Option("--name", help="the category's name; of a public data set, also: all", show_default=False)
    ],
    root: Annotated[Path | None, typer.Option(help="where categories lie; default: data/own")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="of the good images, where none are set apart; default: 0.2")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, random, or a file; default: as it is")] = None,
) -> None:
    """Make a folder of your own photographs a category.

    They are copied and checked, and params.yaml then names them. Or a
    public data set's, which the next report downloads.

    \b
    fastflow init ~/photos/bracket --name bracket --test-fraction 0.3
    fastflow init mvtec_ad --name bottle
    """
    require_project()
    forward("data.add_category", source, name=name, root=root, test_fraction=test_fraction, weights=weights)


def validate(
    category: Annotated[
        str | None, typer.Argument(help="a category of params.yaml; default: its only one", show_default=False)
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="or any folder in MVTec AD's layout")] = None,
    json: Json = False,
) -> None:
    """Name what is wrong with a category's files.

    And how to cure it. Changes nothing.

    \b
    fastflow validate bottle
    fastflow validate --folder /data/mvtec_ad/bottle --json
    """
    require_project()
    if category is None and folder is None and len(known := every_category()) == 1:
        category = known[0]
    if (category is None) == (folder is None):
        refuse("name a category of params.yaml, or with --folder a folder")
    if category and (own := refused(category)):
        category, folder = None, own
    if category:
        require_project(category)
    forward("data.validate", category=category, folder=folder, json=json)


def refused(category: str) -> Path | None:
    """The folder of photographs that `init` copied and did not take into use; None where there is none."""
    from pipelines.core.paths import OWN

    folder = OWN / category
    return folder if category not in every_category() and folder.is_dir() else None


def train(categories: Categories = None, force: Force = False) -> None:
    """Train what has changed.

    As dvc repro train@CATEGORY.

    \b
    fastflow train bottle
    fastflow train --force bottle cable
    """
    require_project(*categories or ())
    stages(*each(categories, "train"), force=force)


def evaluate(categories: Categories = None, force: Force = False) -> None:
    """Train, evaluate and register what has changed.

    As dvc repro evaluate@CATEGORY.

    \b
    fastflow evaluate bottle
    fastflow evaluate
    """
    require_project(*categories or ())
    stages(*each(categories, "evaluate"), force=force)


def report(
    json: Annotated[bool, typer.Option("--json", help="only print what evaluations left, as JSON")] = False,
) -> None:
    """Bring everything up to date; write report.html.

    As dvc repro report.

    \b
    fastflow report
    fastflow report --json > metrics.json
    """
    require_project()
    if not json:
        stages("report")
    forward("reporting.results", json=json)


def sync() -> None:
    """Send to MLflow what it has not got.

    Runs whose server was away, and runs that were killed.

    \b
    fastflow sync
    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 fastflow sync
    """
    require_project()
    forward("tracking.sync")


def gc(
    category: Annotated[
        list[str] | None, typer.Argument(help="default: all of params.yaml", show_default=False)
    ] = None,
    keep: Annotated[int, typer.Option(help="newest versions to keep")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Delete registered versions that nobody needs.

    Never champion, previous or challenger.

    \b
    fastflow gc --dry-run
    fastflow gc bottle --keep 3
    """
    require_project()
    forward("registry.gc", category=category or [], keep=keep, dry_run=dry_run)


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="cure what can be cured safely")] = False, json: Json = False
) -> None:
    """Look at everything that a run stands on.

    Versions, parameters, locks, caches, data, models, stores, disk.

    \b
    fastflow doctor
    fastflow doctor --fix
    """
    require_project()
    forward("monitoring.doctor", fix=fix, json=json)


def reproduce(category: Category, version: Annotated[str, typer.Argument(help="a number of the registry")]) -> None:
    """Print the commands that make a version again.

    Commit, images, parameters.

    \b
    fastflow reproduce bottle 7
    fastflow reproduce bottle 7 > recipe.sh
    """
    require_project()
    forward("registry.reproduce", category=category, version=version)


def add_to(app: typer.Typer) -> None:
    for command in (demo, init, validate, train, evaluate, report, reproduce, sync, gc, doctor):
        app.command()(command)
