"""What `dvc exp run` says to the stages that it runs. An experiment is a run in MLflow, and never a release."""

import os
from pathlib import Path

TAG = "dvc_experiment"  # of a run in MLflow; in run.json and about.json: what they are of
REGISTER = "fastflow evaluate --force"  # a category: evaluates it anew, outside of the experiment


def experiment() -> str:
    """The name of the experiment that this stage is part of; empty where it is none."""
    return os.environ.get("DVC_EXP_NAME", "") if "DVC_EXP_BASELINE_REV" in os.environ else ""


def experiment_root() -> Path:
    """The project's folder, as seen from here: another one where an experiment runs in a folder of its own."""
    return Path(os.path.relpath(os.environ["DVC_ROOT"])) if experiment() else Path()


def tags() -> dict[str, str]:
    """To add to a run's tags, or to what a stage leaves."""
    return {TAG: experiment()} if experiment() else {}
