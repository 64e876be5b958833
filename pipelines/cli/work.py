"""From images to an evaluated model, and what keeps all of it: demo to report, sync, gc, backup, doctor, reproduce."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import complete, runner
from pipelines.cli.init import init
from pipelines.cli.runner import every_category, require_project
from pipelines.core.stage import log

Categories = Annotated[
    list[str] | None,
    typer.Argument(help="default: all of params.yaml", show_default=False, autocompletion=complete.categories),
]
Category = Annotated[
    str, typer.Argument(help="a category of params.yaml", show_default=False, autocompletion=complete.categories)
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text")]
Force = Annotated[bool, typer.Option("--force", help="even if nothing has changed")]


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
        raise ValueError("params.yaml names other images than the demo's; for those: fastflow report")
    bring_up_to_date("report")
    show_results(as_json=False)


def validate(
    category: Annotated[
        str | None,
        typer.Argument(
            help="a category of params.yaml; default: its only one",
            show_default=False,
            autocompletion=complete.categories,
        ),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="or any folder in MVTec AD's layout")] = None,
    json: Json = False,
) -> None:
    """List what is wrong with a category's files.

    And how to fix it. Changes nothing.

    \b
    fastflow validate bottle
    fastflow validate --folder /data/mvtec_ad/bottle --json
    """
    require_project()
    if category is None and folder is None and len(known := every_category()) == 1:
        category = known[0]
    if (category is None) == (folder is None):
        raise ValueError("name a category of params.yaml, or with --folder a folder")
    from pipelines.core.params import read_params
    from pipelines.data.validate import validate

    if category and (folder := refused_folder(category)) is None:
        require_project(category)
        folder = Path(read_params().data.root) / category
    assert folder is not None
    validate(folder, read_params(), as_json=json)


def refused_folder(category: str) -> Path | None:
    """The folder of photographs that `init` copied and then refused; None where there is none."""
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
    bring_up_to_date(*(f"train@{category}" for category in categories or every_category()), force=force)


def evaluate(categories: Categories = None, force: Force = False) -> None:
    """Train, evaluate and register what has changed.

    As dvc repro evaluate@CATEGORY.

    \b
    fastflow evaluate bottle
    fastflow evaluate
    """
    require_project(*categories or ())
    bring_up_to_date(*(f"evaluate@{category}" for category in categories or every_category()), force=force)


def report(
    json: Annotated[
        bool, typer.Option("--json", help="only print the results of the last evaluations, as JSON")
    ] = False,
) -> None:
    """Bring everything up to date; write report.html.

    As dvc repro report.

    \b
    fastflow report
    fastflow report --json > metrics.json
    """
    require_project()
    if not json:
        bring_up_to_date("report")
    show_results(as_json=json)


def bring_up_to_date(*stages: str, force: bool = False) -> None:
    """Runs what has changed, as `dvc repro` does. Ends with the exit code of a stage that fails."""
    from pipelines.cli.repro import reproduce

    categories = [stage.partition("@")[2] for stage in stages if "@" in stage]
    if code := reproduce(stages, categories or every_category(), force=force):
        raise typer.Exit(code)


def show_results(*, as_json: bool) -> None:
    from pipelines.core.params import read_params
    from pipelines.reporting.results import show

    show(read_params(), as_json=as_json)


def sync() -> None:
    """Send to MLflow what it has not received.

    Runs whose server was down, and runs that were killed.

    \b
    fastflow sync
    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 fastflow sync
    """
    require_project()
    from pipelines.tracking.sync import sync

    log.info("MLflow has everything%s", "" if sync() else " already")


def gc(
    category: Annotated[
        list[str] | None, typer.Argument(help="default: all of params.yaml", show_default=False)
    ] = None,
    keep: Annotated[int, typer.Option(help="newest versions to keep")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only list what would be deleted")] = False,
) -> None:
    """Delete registered versions that are not needed.

    Never champion, previous or challenger.

    \b
    fastflow gc --dry-run
    fastflow gc bottle --keep 3
    """
    require_project()
    from pipelines.registry.gc import gc

    for name in category or every_category():
        gc(name, keep=keep, dry_run=dry_run)


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="repair what can be repaired safely")] = False, json: Json = False
) -> None:
    """Check everything that a run needs.

    Versions, parameters, locks, caches, data, models, stores, disk.

    \b
    fastflow doctor
    fastflow doctor --fix
    """
    require_project()
    from pipelines.monitoring.doctor import doctor

    doctor(fix=fix, as_json=json)


def reproduce(category: Category, version: Annotated[str, typer.Argument(help="a number of the registry")]) -> None:
    """Print the commands that make a version again.

    Commit, images, parameters.

    \b
    fastflow reproduce bottle 7
    fastflow reproduce bottle 7 > recipe.sh
    """
    require_project()
    from pipelines.registry.reproduce import recipe

    print(recipe(category, version))


def backup(to: Annotated[Path, typer.Argument(help="a .tar file to be written", show_default=False)]) -> None:
    """Keep runs, models, aliases and DVC's cache in one file.

    \b
    fastflow backup /mnt/backups/monday.tar
    fastflow -C ~/fastflow backup /mnt/backups/monday.tar
    """
    require_project()
    from pipelines.registry.backup import backup

    backup(to)


def restore(source: Annotated[Path, typer.Argument(help="a file of `fastflow backup`", show_default=False)]) -> None:
    """Bring a backup back, in a clone that has no store yet.

    \b
    fastflow restore /mnt/backups/monday.tar
    fastflow -C ~/fastflow restore /mnt/backups/monday.tar
    """
    require_project()
    from pipelines.registry.backup import restore

    restore(source)


def add_commands(app: typer.Typer) -> None:
    own = (demo, init, validate, train, evaluate, report, reproduce, sync, gc, backup, restore, doctor)
    runner.add_commands(app, *own)
