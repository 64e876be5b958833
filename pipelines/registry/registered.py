"""A registered model's files: written as data alone, and trusted only if they are data alone.

MLflow runs what a model folder names (a loader, a `code` folder, a pickle). Ours names the installed `LOADER` and
holds JSON and safetensors; anything else is refused before anything is imported.
"""

import base64
import warnings
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from fastflow.errors import BadData
from fastflow.files import folder_sha256, write_bytes
from fastflow.sealed import CONFIG
from fastflow.signature import signature_file
from pipelines.core.params import read_yaml

LOADER = "pipelines.registry.served_model"
EARLIER_LOADERS = {"pipelines.served_model"}
"""Of versions registered before the loader moved: their checkpoints are scored and promoted all the same."""
SIGNATURE = ModelSignature(  # one column, of any name: a frame's is `image`, a list of paths or bytes has none
    inputs=Schema([ColSpec(AnyType())]),  # type: ignore[no-untyped-call]
    outputs=Schema([ColSpec(DataType.double, "pred_score"), ColSpec(DataType.long, "pred_label")]),
)
REQUIREMENTS = [f"{name}=={version(name)}" for name in ("torch", "timm", "safetensors", "pandas", "pillow")]
WEIGHTS_TAG = "sha256.flow.safetensors"  # the tag of a version with its flow's hash
CONTENT = "model_sha256"  # the tag of a version with the hash of its files
SIGNED = "signature"  # the tag of a version that fastflow sign has signed
SUFFIXES = {".json", ".safetensors"}


class Untrusted(BadData):
    """A model folder that this project did not write, or that was changed; no code of it was run."""


def write_model(checkpoint: Path, to: Path, *, example: str) -> None:
    """The MLflow model folder of a checkpoint; `example` is an image file in base64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own hints
        mlflow.pyfunc.save_model(
            path=str(to),
            loader_module=LOADER,
            data_path=str(checkpoint),
            signature=SIGNATURE,
            input_example=pd.DataFrame({"image": [example]}),
            pip_requirements=REQUIREMENTS,
        )


def trusted_checkpoint(folder: Path) -> Path:
    """The checkpoint inside a model folder, after a check that the folder is data alone.

    Raises:
        Untrusted: it names another loader, code or flavour, leads out of the folder, or holds other kinds of files.
    """
    try:
        flavors = dict(read_yaml(folder / "MLmodel")["flavors"])
        ours = dict(flavors["python_function"])
        inside = PurePosixPath(ours["data"])
        strange = {k for k, v in ours.items() if v and k not in ("data", "env", "loader_module", "python_version")}
        known = ours.get("loader_module") in {LOADER} | EARLIER_LOADERS
        named = sorted(strange | set(flavors))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Untrusted(
            f"{folder}/MLmodel cannot be read as one of ours ({error!r}); train and register again"
        ) from error
    checkpoint = folder / inside
    if set(flavors) != {"python_function"} or not known or strange:
        raise Untrusted(f"{folder}/MLmodel asks for {ours.get('loader_module')}, {named}: refused")
    if inside.is_absolute() or ".." in inside.parts or not checkpoint.is_dir():
        raise Untrusted(f"{folder}/MLmodel: data is {str(inside)!r}, not a folder below it: refused")
    for path in [checkpoint, *checkpoint.parents[: len(inside.parts) - 1], *checkpoint.rglob("*")]:
        if path.is_symlink() or (path.is_file() and path.suffix not in SUFFIXES):
            raise Untrusted(f"{path} is neither JSON nor safetensors: refused")
    return checkpoint


def verified_checkpoint(folder: Path, *, sha256: str, signature: str = "") -> Path:
    """The checkpoint inside a downloaded model folder, if its content is the one recorded. `signature`: of its
    config.json, in base64, as the version's tag has it; it is written where whoever opens the checkpoint looks for it.

    Raises:
        Untrusted: not data alone, or another content.
    """
    checkpoint = trusted_checkpoint(folder)
    got = folder_sha256(checkpoint)
    if got != sha256:
        raise Untrusted(f"{folder}: its sha256 is {got}, registered was {sha256}; the artifact was changed or damaged")
    if signature:
        try:
            write_bytes(signature_file(checkpoint / CONFIG), base64.b64decode(signature, validate=True))
        except ValueError as error:
            raise Untrusted(f"{folder}: the tag {SIGNED} of its version is no base64 ({error})") from error
    return checkpoint
