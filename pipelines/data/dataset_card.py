"""dataset.json: which images a category has, under which licence, and what the checks found in them."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipelines.core.paths import DEMO, findings_file
from pipelines.core.provenance import data_hash
from pipelines.core.stored import Stored, read_stored
from pipelines.data.data_sets import DATA_SETS
from pipelines.data.reviewed import summary

FILE = "dataset.json"
FINDINGS_LISTED = 100  # findings that are listed; all are in data/prepared/<category>.findings.json
UNKNOWN = "not stated: put a license.txt into the category's folder"


class _Finding(Stored):
    """As `pipelines.data.checks.policy.to_json` writes it."""

    policy: Literal["refuse", "quarantine", "report"]
    path: str
    message: str
    image: str


def dataset_card(category: str, root: Path, index: pd.DataFrame) -> dict[str, Any]:
    """`root`: the folder of all categories; `index`: the category's rows, training and test images."""
    file = findings_file(category)
    findings = (
        read_stored(file, list[_Finding], cure=f"run: dvc repro --force prepare@{category}") if file.is_file() else []
    )
    counts = index.groupby(["split", "defect_type"], sort=True).size().rename("images").reset_index()
    left_out = {finding["image"] for finding in findings if finding["policy"] == "quarantine"}
    shown = ("policy", "path", "message")
    return {
        "source": (root / category).as_posix(),
        "licence": licence(category, root),
        "dvc_md5": data_hash(category),
        "counts": counts.to_dict("records"),
        "left_out": len(left_out),
        "noted": sum(finding["policy"] == "report" for finding in findings),
        "findings": [{name: finding[name] for name in shown} for finding in findings[:FINDINGS_LISTED]],
        "more": max(0, len(findings) - FINDINGS_LISTED),
        "review": summary(root / category, index),
    }


def licence(category: str, root: Path) -> str:
    """That of a public data set by its folder's name, of the drawn demo, or the first line of the category's own."""
    known = DATA_SETS.get(root.name)
    if known and category in known.counts:
        return f"{known.licence} ({known.title})"
    if root == DEMO:
        return "drawn by this project, MIT"
    for name in ("license.txt", "LICENSE", "licence.txt"):
        if (root / category / name).is_file():
            lines = (root / category / name).read_text(errors="replace").split("\n")
            return next((line.strip()[:200] for line in lines if line.strip()), UNKNOWN)
    return UNKNOWN
