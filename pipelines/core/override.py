"""What a retraining with values of its own says to the stages that it runs: which values, and where the project is.

Such a retraining works in a folder of its own, whose params.yaml has those values (pipelines/orchestration/one_off.py).
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pipelines.core.experiment import experiment_root

OVERRIDES = "FASTFLOW_OVERRIDES"  # in a stage's environment: such as train.epochs=5
_PROJECT = "FASTFLOW_OVERRIDES_OF"  # the project's folder
TAG = "overrides"  # of a run in MLflow


def environment(values: Mapping[str, object], project: Path) -> dict[str, str]:
    """Of stages that run with `values`, by dotted key, in place of those of the project's params.yaml."""
    text = ", ".join(f"{key}={value}" for key, value in values.items())
    return {OVERRIDES: text, _PROJECT: str(project.resolve())}


def project_root() -> Path:
    """The project's folder, as seen from here: another one where an experiment or overrides have a folder of their
    own."""
    if OVERRIDES in os.environ:
        return Path(os.path.relpath(os.environ[_PROJECT]))
    return experiment_root()


def tags() -> dict[str, str]:
    """To add to a run's tags."""
    return {TAG: os.environ[OVERRIDES]} if OVERRIDES in os.environ else {}
