"""Where a category's images come from."""

from pathlib import Path

from pipelines.core.params import Params
from pipelines.core.paths import DEMO


def source_stage(category: str, params: Params) -> str | None:
    """The DVC stage that makes a category's images, draw or download; None where they are the user's own."""
    root = Path(params.data.root)
    if root == DEMO and category in params.demo.categories:
        return "draw"
    if root == Path("data") / params.download.source and category in params.download.categories:
        return "download"
    return None
