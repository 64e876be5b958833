"""What a finding means for a run: refused, its image quarantined, or only reported."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastflow.decode import AS_MEANT
from fastflow.index import list_category
from fastflow.pixels.meaning import PixelRule
from fastflow.roi import Roi
from pipelines.core.params import Findings
from pipelines.core.progress import progress
from pipelines.data.checks.category import check_category
from pipelines.data.checks.finding import Finding

FINDINGS_SHOWN = 3  # of a kind, in a listing
POLICIES = ("refuse", "quarantine", "report")
Decided = Mapping[str, Sequence[Finding]]


class Checked(NamedTuple):
    """A category's index, its findings by policy, and how its files become pixels."""

    rows: pd.DataFrame
    decided: Decided
    rule: PixelRule


def check_and_decide(folder: Path, policy: Findings, rule: PixelRule = AS_MEANT, roi: Roi | None = None) -> Checked:
    """Looks at every file of a category, with a progress bar; `rule` is the stated one of its pixels, `roi` its region
    of interest.

    Raises:
        BadData: the folder does not exist.
    """
    index = list_category(folder)
    with progress(f"checking {folder.name}", len(index), unit="image") as advance:
        looked = check_category(folder, index, rule, roi, on_image=advance)
    return Checked(looked.rows, decide(looked.findings, policy), looked.rule)


def decide(findings: Iterable[Finding], policy: Findings) -> Decided:
    """The findings by policy. Always refused are a layout that cannot be used, and findings to be quarantined
    that have no image to leave out."""
    table = policy.model_dump() | {"layout": "refuse"}
    decided: dict[str, list[Finding]] = {name: [] for name in POLICIES}
    for finding in findings:
        chosen = table[finding.kind]
        decided["refuse" if chosen == "quarantine" and not finding.image else chosen].append(finding)
    return decided


def listing(findings: Iterable[Finding], *, all_in: str) -> str:
    """One line a finding, its kind behind it; of many of a kind some, and how many more: `all_in` has them."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    lines = []
    for kind, several in by_kind.items():
        lines += [f"{finding} [{kind}]" for finding in several[:FINDINGS_SHOWN]]
        if len(several) > FINDINGS_SHOWN:
            lines.append(f"and {len(several) - FINDINGS_SHOWN:,} more [{kind}]; all of them: {all_in}")
    return "\n  ".join(lines)


def to_json(decided: Decided) -> str:
    """A list of objects: policy, kind, path, message, remedy, image (the row left out if quarantined)."""
    rows = [{"policy": policy} | finding._asdict() for policy in POLICIES for finding in decided[policy]]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
