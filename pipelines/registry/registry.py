"""Models from the registry: downloaded, verified, tried on their example."""

import base64
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mlflow
import pandas as pd

from fastflow.sealed import read_config
from fastflow.trained import TrainedDetector
from pipelines.core.paths import NORMAL_SCORES
from pipelines.core.training_files import normal_table
from pipelines.registry.aliases import get_version
from pipelines.registry.checkpoints import download, require_category
from pipelines.registry.registered import CONTENT, SIGNED, Untrusted, verified_checkpoint
from pipelines.registry.served_model import ServedModel

EXAMPLE = "input_example.json"  # MLflow's name for it
EXAMPLE_SCORE = "example_pred_score"
RELATIVE_TOLERANCE = 1e-4


class Opened(NamedTuple):
    """A version that was downloaded, verified and loaded. `trained_on`: the sha256 of its training images; empty where
    it is too old to say. The detector's version is its `weights_id`, of the verified files, whatever a tag says."""

    detector: TrainedDetector
    tags: dict[str, str]
    trained_on: frozenset[str] = frozenset()


def open_version(client: mlflow.MlflowClient, category: str, version: str) -> Opened:
    """Downloads, verifies and loads a version.

    Raises:
        Untrusted, BadCheckpoint: its files are missing, or not those that were registered.
        ValueError: there is no such version.
    """
    made = get_version(client, category, version)
    tags = dict(made.tags)
    with tempfile.TemporaryDirectory() as scratch:
        folder = download(client, made, Path(scratch))
        content, score = tags.get(CONTENT, "unknown"), number_of(tags, EXAMPLE_SCORE, of=f"{made.name}/{made.version}")
        signature = tags.get(SIGNED, "")
        detector, images = open_model(folder, sha256=content, signature=signature, example_score=score)
        require_category(detector.category, category, f"{made.name}/{made.version}")
        return Opened(detector, tags, images)


def trained_on(checkpoint: Path) -> frozenset[str]:
    """The sha256 of a checkpoint's training images, as its scores of them say. Raises BadCheckpoint."""
    if NORMAL_SCORES not in read_config(checkpoint)["sha256"]:
        return frozenset()
    return frozenset(normal_table(checkpoint).get("sha256", ()))


def number_of(tags: Mapping[str, str], name: str, *, of: str) -> float | None:
    """A tag's finite number; None where there is no such tag. Raises Untrusted where it is anything else."""
    if name not in tags:
        return None
    try:
        value = float(tags[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Untrusted(f"{of}: its tag {name} is {tags[name]!r}; allowed: a finite number")
    return value


def open_model(
    folder: Path, *, sha256: str, example_score: float | None, signature: str = ""
) -> tuple[TrainedDetector, frozenset[str]]:
    """The model of a downloaded folder, if its content is the one recorded and it predicts as it did when registered;
    and the images that it was `trained_on`.

    `example_score`: the recorded score of its input example; None where there is none. `signature`: as
    `verified_checkpoint` takes it.

    Raises:
        Untrusted: not data alone, another content, or another prediction.
        BadCheckpoint: weights that are not those of its config.json.
    """
    checkpoint = verified_checkpoint(folder, sha256=sha256, signature=signature)
    detector = TrainedDetector.load(checkpoint)
    if example_score is not None:
        example = pd.DataFrame({"image": [example_file(folder)]})
        found = float(ServedModel(detector).predict(example)["pred_score"].iloc[0])
        if not abs(found - example_score) <= RELATIVE_TOLERANCE * max(1.0, abs(example_score)):
            raise Untrusted(f"{folder}: its example scores {found:.6g}, recorded was {example_score:.6g}")
    return detector, trained_on(checkpoint)


def example_file(folder: Path) -> bytes:
    """The image file that was registered with a model, from its folder. Raises Untrusted."""
    try:
        return base64.b64decode(json.loads((folder / EXAMPLE).read_text())["data"][0][0])
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise Untrusted(f"{folder / EXAMPLE} is not the example that was registered ({error!r})") from error
