"""Everything that is wrong with a category, found in one pass; `validate` shows it, `prepare` acts on it."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastflow.pixels.meaning import PixelRule
from fastflow.roi import Roi
from pipelines.data.checks.compare import compare_findings
from pipelines.data.checks.depths import depth_findings, rule_with_range, scaled
from pipelines.data.checks.finding import Finding
from pipelines.data.checks.folders import folder_findings
from pipelines.data.checks.pictures import ImageFacts, inspect_image


class CheckedCategory(NamedTuple):
    """The index that `list_category` gave, now with sha256; all findings by path; the rule with the range that the
    training images need."""

    rows: pd.DataFrame
    findings: list[Finding]
    rule: PixelRule


def check_category(
    folder: Path, index: pd.DataFrame, rule: PixelRule, roi: Roi | None, *, on_image: Callable[[], None]
) -> CheckedCategory:
    """Checks every file; `rule` is the stated one, `roi` the region of interest.

    `on_image` is called once an image, from several threads.
    """

    def look_at(image_path: str, mask_path: str) -> ImageFacts:
        seen = inspect_image(folder, image_path, mask_path, rule, roi)
        on_image()
        return seen

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = list(pool.map(look_at, index["image_path"], index["mask_path"]))
    index = index.assign(sha256=[one.sha256 for one in seen])
    found = [finding for one in seen for finding in one.findings]
    settled = rule_with_range(index, seen, rule)
    found += depth_findings(index, seen, stated=rule, settled=settled)
    seen = [scaled(one, settled) for one in seen]
    found += [*folder_findings(folder, index), *compare_findings(index, seen)]
    return CheckedCategory(index, sorted(found, key=lambda f: (f.path, f.kind, f.message)), settled)


def leave_out(index: pd.DataFrame, findings: Iterable[Finding]) -> pd.DataFrame:
    """The index without the images of these findings; each has one."""
    gone = {f.image for f in findings}
    assert gone <= set(index["image_path"]), gone
    return index[~index["image_path"].isin(gone)].reset_index(drop=True)
