"""Models out of the registry: downloaded, verified, tried."""

import base64
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mlflow
import pandas as pd

from pipelines.registry.aliases import files_of, get_version
from pipelines.registry.registered import CONTENT, Untrusted, verified_checkpoint
from pipelines.registry.served_model import ServedModel, load_served

EXAMPLE = "input_example.json"  # MLflow's name for it
EXAMPLE_SCORE = "example_pred_score"
RELATIVE_TOLERANCE = 1e-4


class Opened(NamedTuple):
    """A version that was downloaded, verified and loaded."""

    served: ServedModel
    tags: dict[str, str]


def download(source: str, tags: Mapping[str, str]) -> ServedModel:
    """The model at an artifact address, verified against the tags of its version. Raises Untrusted, BadCheckpoint."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=scratch))
        score = tags.get(EXAMPLE_SCORE)
        return open_model(folder, sha256=tags.get(CONTENT, "unknown"), example_score=float(score) if score else None)


def open_version(client: mlflow.MlflowClient, category: str, version: str) -> Opened:
    """Downloads, verifies and loads a version.

    Raises:
        Untrusted, BadCheckpoint: its files are gone, or not those that were registered.
        ValueError: there is no such version.
    """
    made = get_version(client, category, version)
    source = files_of(client, made)
    if source is None:
        raise Untrusted(f"{made.name} version {version}: its files are gone from the store; restore them")
    served = download(source, made.tags)
    return Opened(served, dict(made.tags))


def open_model(folder: Path, *, sha256: str, example_score: float | None) -> ServedModel:
    """The model of a downloaded folder, if its content is the one recorded and it predicts as it did when registered.

    `example_score`: what it gave then for its input example; None where that was not recorded.

    Raises:
        Untrusted: not data alone, another content, or another prediction.
        BadCheckpoint: weights that are not those of its config.json.
    """
    served = load_served(verified_checkpoint(folder, sha256=sha256))
    if example_score is not None:
        found = float(served.predict(pd.DataFrame({"image": [example_file(folder)]}))["pred_score"].iloc[0])
        if abs(found - example_score) > RELATIVE_TOLERANCE * max(1.0, abs(example_score)):
            raise Untrusted(f"{folder}: its example scores {found:.6g}, recorded was {example_score:.6g}")
    return served


def example_file(folder: Path) -> bytes:
    """The image file that was registered with a model, from its folder."""
    text: str = json.loads((folder / EXAMPLE).read_text())["data"][0][0]
    return base64.b64decode(text)
