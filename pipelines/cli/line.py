"""The line: pictures in, verdicts out."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import complete, runner
from pipelines.cli.models import MODEL_HELP, Record, Sha256, Threads

Name = Annotated[str, typer.Argument(help="the category", show_default=False, autocompletion=complete.categories)]
Folder = Annotated[Path | None, typer.Argument(help="where pictures come to", metavar="DIR", show_default=False)]
Port = Annotated[
    int | None, typer.Option(help="metrics for Prometheus, on 127.0.0.1", min=1, max=65535, show_default=False)
]


def watch(
    category: Name,
    folder: Folder = None,
    model: Annotated[str | None, typer.Option(help=f"{MODEL_HELP}; default: the champion")] = None,
    poll: Annotated[bool, typer.Option("--poll", help="list the folder each second: for network shares")] = False,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="leave out what is there before the very first start")
    ] = False,
    settle: Annotated[float, typer.Option(help="seconds without change until a file is whole", min=0.1)] = 0.5,
    check: Annotated[float, typer.Option(help="seconds between two checks for a new champion", min=0.1)] = 15,
    metrics_port: Port = None,
    threads: Threads = None,
    sha256: Sha256 = "",
    record: Record = None,
    status: Annotated[bool, typer.Option("--status", help="only print what was judged, and what waits")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="only have refused verdicts sent again")] = False,
) -> None:
    """Judge pictures as they come, and tell the line.

    Verdicts go to a JSON lines file, and as line.yaml says, by webhook or MQTT. Each picture once, in order of arrival,
    across restarts. One process watches a category.

    \b
    fastflow watch bottle /mnt/camera1 --poll
    fastflow watch bottle --status
    """
    if status or resend:
        from pipelines.line import status as state

        if resend:
            state.resend(category)
        if status:
            state.show(category)
        return
    if folder is None:
        raise ValueError(f"name the folder that pictures come to: fastflow watch {category} DIR")
    from pipelines.line.watch import Options, watch

    options = Options(
        model=model, sha256=sha256, poll=poll, new_only=new_only, settle=settle, champion_seconds=check,
        threads=threads, record=record, metrics_port=metrics_port,
    )  # fmt: skip
    watch(category, folder, options)


def add_commands(app: typer.Typer) -> None:
    runner.add_commands(app, watch)
