"""The metrics that an evaluation left: reports/<category>/metrics.json."""

from pathlib import Path
from typing import Any

from pydantic import Field

from pipelines.core.paths import report_folder
from pipelines.core.stored import Stored, read_stored

FILE = "metrics.json"
CURE = "run its evaluate stage again: dvc repro -f evaluate"


class _Metrics(Stored):
    """Numbers by name, None where undefined, for the reason in `undefined`."""

    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    category: str
    undefined: dict[str, str] = Field(default_factory=dict)


def read_metrics(category: str, folder: Path = Path()) -> dict[str, Any]:
    """Those of the category's last evaluation in `folder`; empty where there is none. Raises BadData."""
    place = folder / report_folder(category)
    return metrics_in(place) if (place / FILE).is_file() else {}


def metrics_in(folder: Path) -> dict[str, Any]:
    """Those in the folder of a report. Raises BadData, OSError."""
    found: dict[str, Any] = read_stored(folder / FILE, _Metrics, cure=CURE)
    return found
