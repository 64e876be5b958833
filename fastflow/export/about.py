"""What an export folder says of itself in export.json: its format, the model it was made from, its files' sha256."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastflow.errors import BadData
from fastflow.files import file_sha256, write_text
from fastflow.frame import Frame

ABOUT = "export.json"


class BadExport(BadData):
    """An export folder that cannot be trusted; the message names the file and what is wrong."""


def write_about(
    folder: Path,
    *,
    runtime: str,
    precision: str,
    category: str,
    model: str,
    frame: Frame,
    threshold: Mapping[str, Any],
    **more: Any,
) -> None:
    """Seals the files that are in `folder`. `model`: the version it was made from; `frame`: what it takes."""
    about = {
        "format": runtime,
        "precision": precision,
        "category": category,
        "model": model,
        "image_size": [frame.height, frame.width],
        "grid": frame.grid,
        "pixels": frame.rule._asdict(),
        "threshold": dict(threshold),
        **more,
        "sha256": {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != ABOUT},
    }
    write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")


def read_about(folder: Path) -> dict[str, Any]:
    """export.json. Raises BadExport if it is absent or not an export's."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
        about["format"], about["precision"], about["sha256"], about["image_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadExport(f"{folder} is not an exported model ({error!r}); run: fastflow export") from error
    return about


def verify(folder: Path, about: Mapping[str, Any]) -> None:
    """Raises BadExport where a file is absent or not what was written."""
    for name, digest in about["sha256"].items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != digest:
            raise BadExport(f"{path} is missing or damaged; export the model again")
