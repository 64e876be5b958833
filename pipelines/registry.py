"""The model registry: one registered model per category, `fastflow-<category>`, a version per evaluated training.

A version is data alone (safetensors and JSON); the installed package `pipelines.served_model` loads it.
"""

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

LOADER = "pipelines.served_model"
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "image")]),
    outputs=Schema([ColSpec(DataType.double, "pred_score"), ColSpec(DataType.long, "pred_label")]),
)
REQUIREMENTS = [f"{name}=={version(name)}" for name in ("torch", "timm", "safetensors", "pandas", "pillow")]


def model_name(category: str) -> str:
    return f"fastflow-{category}"


def log_model(folder: Path, *, category: str) -> str:
    """Logs a checkpoint folder as a pyfunc model of the active run; returns its `models:/...` address."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example was not provided")  # the signature is explicit
        info = mlflow.pyfunc.log_model(
            name=model_name(category),
            loader_module=LOADER,
            data_path=str(folder),
            signature=SIGNATURE,
            pip_requirements=REQUIREMENTS,
        )
    return str(info.model_uri)


def register(model_uri: str, *, category: str, tags: Mapping[str, str]) -> str:
    """Makes the logged model a version of the category's registered model; returns the version's number."""
    made = mlflow.register_model(model_uri, model_name(category), tags=dict(tags))
    return str(made.version)
