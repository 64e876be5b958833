"""Is the inspection itself in order? The same part again, and parts whose verdict is known."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import runner
from pipelines.cli.models import MODEL_HELP, OtherModel
from pipelines.cli.runner import require_project
from pipelines.cli.work import Category, Json


def repeatability(
    category: Category,
    folder: Annotated[
        Path, typer.Argument(help="PART/SHOT.png, or OPERATOR/PART/SHOT.png in it", metavar="DIR", show_default=False)
    ],
    model: OtherModel = None,
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


class Action(StrEnum):
    ADD = "add"
    CHECK = "check"
    REMOVE = "remove"


class Expected(StrEnum):
    GOOD = "good"
    DEFECT = "defect"


def masters(
    category: Category,
    action: Annotated[
        Action | None, typer.Argument(help="default: list the master parts and the last check", show_default=False)
    ] = None,
    what: Annotated[
        str | None,
        typer.Argument(
            help="add, check: a folder of PART.png or PART/SHOT.png; check without it: the stored photographs. "
            "remove: a part",
            show_default=False,
        ),
    ] = None,
    expect: Annotated[Expected | None, typer.Option(help="of the parts that are added", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option(help=f"{MODEL_HELP}; default: the champion, else models/<category>")
    ] = None,
    json: Json = False,
) -> None:
    """Check parts whose verdict is known, before a shift.

    Exit code 1: a part got the wrong verdict. Writes masters/<category>.html. A server can ask for it: masters in
    params.yaml.

    \b
    fastflow masters bottle add shots/ --expect good
    fastflow masters bottle check today/
    """
    require_project(category)
    needed = {Action.ADD: "a folder of photographs", Action.REMOVE: "the part"}
    if action in needed and what is None:
        raise ValueError(f"name {needed[action]}: fastflow masters {category} {action} ...")
    if (expect is not None) != (action is Action.ADD):
        raise ValueError("add needs --expect good or --expect defect; no other action takes --expect")
    from pipelines.core.params import read_params
    from pipelines.qualification import masters_set
    from pipelines.qualification.masters import check

    params = read_params()
    match action:
        case None:
            masters_set.show(category, as_json=json)
        case Action.ADD:
            masters_set.add(category, Path(str(what)), params, expect="good" if expect is Expected.GOOD else "defect")
        case Action.CHECK:
            check(category, params, folder=None if what is None else Path(what), model=model, as_json=json)
        case Action.REMOVE:
            masters_set.remove(category, str(what))


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, repeatability, masters)
