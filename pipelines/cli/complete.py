"""What the shell offers after TAB: categories and models of the project (`fastflow --install-completion`)."""

from collections.abc import Iterator
from pathlib import Path

import typer


def categories(context: typer.Context, incomplete: str) -> list[str]:
    """The categories of params.yaml that begin so; none where there is no project or the file is not valid."""
    return [name for name in _known(_project(context)) if name.startswith(incomplete)]


def models(context: typer.Context, incomplete: str) -> list[str]:
    """Categories, and folders of exports."""
    found = [*_known(_project(context)), *_exports(_project(context))]
    return [name for name in found if name.startswith(incomplete)]


def _project(context: typer.Context) -> Path:
    """The folder of --project, which no command has changed to yet."""
    return Path(context.find_root().params.get("project") or ".")


def _known(project: Path) -> list[str]:
    from pipelines.core.params import PARAMS_FILE, read_params

    try:
        return read_params(project / PARAMS_FILE).data.categories
    except (OSError, ValueError):
        return []


def _exports(project: Path) -> Iterator[str]:
    for about in sorted(project.glob("exports/**/export.json")):
        yield about.parent.relative_to(project).as_posix()
