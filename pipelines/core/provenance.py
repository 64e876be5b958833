"""Where a result comes from: commit, data, code versions, machine. Plain strings, for run tags and the report."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from fastflow.files import file_sha256
from pipelines.core.params import PARAMS_FILE, read_yaml
from pipelines.core.paths import index_file
from pipelines.core.revision import project_version

DVC_LOCK = Path("dvc.lock")
PACKAGES = ("torch", "timm", "numpy", "pillow", "dvc", "mlflow", "prefect")


def provenance(category: str) -> dict[str, str]:
    """Facts that make a run repeatable; a fact that cannot be determined is `unknown`, never left out."""
    facts = project_version() | {
        "data_dvc_md5": data_hash(category),
        "index_sha256": file_sha256(index_file(category)),
        "dvc_lock_sha256": file_sha256(DVC_LOCK) if DVC_LOCK.is_file() else "unknown",
        "params_sha256": file_sha256(PARAMS_FILE),
        "python": platform.python_version(),
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, {_gpu()}",
    }
    return facts | {package: version(package) for package in PACKAGES}


def data_hash(category: str, *, lock: Path = DVC_LOCK) -> str:
    """DVC's md5 of the category's images, as dvc.lock recorded it for the prepare stage."""
    stages = (read_yaml(lock) or {}).get("stages", {}) if lock.is_file() else {}
    deps = stages.get(f"prepare@{category}", {}).get("deps", [])
    return next((d["md5"] for d in deps if "md5" in d and Path(d["path"]).name == category), "unknown")


def _gpu() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
