"""Decisions become data: fastflow review NAME --apply

Good pictures go to train/good, defects to test/<kind>, under names of their content. Where the category has masks, a
defect's leaves all of its pixels out of the evaluation: where the model sees it is a proposal, drawn beside, and no
truth to measure that model by. Repeated or killed in between, nothing is added twice.
"""

import io
import json
import shlex
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import IGNORED
from fastflow.files import write_bytes
from fastflow.regions import Region, filled
from pipelines.core.dvc import DVC, run_command
from pipelines.core.lock import locked
from pipelines.core.names import counted
from pipelines.core.params import Params
from pipelines.core.paths import DEMO
from pipelines.core.stage import Failed, log
from pipelines.core.terminal import asker
from pipelines.data.data_sets import DATA_SETS
from pipelines.data.reviewed import FILE, read_reviewed, write_reviewed
from pipelines.review.plan import Addition, Plan, plan_of, summary
from pipelines.review.store import folder_of, opened, utc

YES = ("y", "yes")
KEPT = ("model", "pred_score", "threshold", "pred_label")  # of the verdict that was reviewed


def apply_decisions(category: str, params: Params, *, yes: bool) -> None:
    """Shows what would change, asks, and does it.

    Raises:
        ValueError: a folder that a stage makes, or nobody can be asked and `yes` is not given.
        Failed: the answer is no, or DVC fails. BadData: no folder of the category, a damaged store.
    """
    folder = Path(params.data.root) / category
    require_own(folder, category)
    with opened(category, sure=True) as base, locked(folder.parent / f".{category}.lock"):
        known = read_reviewed(folder)  # first: where it is damaged, nothing is changed
        plan = plan_of(base, category, folder, known)
        print(summary(plan, folder))
        if plan.new:
            confirm(yes=yes)
        for one in plan.new:
            add(one, category, folder, with_mask=plan.has_masks)
        finish(base, plan, folder, known)  # also where there is nothing new: of one that was killed
    if plan.new:
        tell(plan, category, folder)
    if plan.new or plan.there:
        track(plan, category, folder)


def require_own(folder: Path, category: str) -> None:
    """Raises ValueError where a stage of dvc.yaml makes the folder: it would throw away what is added."""
    if folder.parent == DEMO or folder.parent.name in DATA_SETS:
        again = f"fastflow init {shlex.quote(folder.as_posix())} --name {category}"
        raise ValueError(
            f"{folder} is what dvc.yaml draws or downloads, and would be made anew without the pictures; make it your "
            f"own first: {again}"
        )


def confirm(*, yes: bool) -> None:
    """Raises ValueError where nobody can be asked, Failed where the answer is no."""
    if yes:
        return
    ask = asker()
    if ask is None:
        raise ValueError("nothing was changed, as nobody is at a terminal to be asked; to apply it: --apply --yes")
    if ask("apply this? [y/N] ").lower() not in YES:
        raise Failed("nothing was changed")


def add(one: Addition, category: str, folder: Path, *, with_mask: bool) -> None:
    """The mask first: a picture without its mask would be refused."""
    if one.decision == "defect":
        size = one.row["height"], one.row["width"]
        if with_mask:
            write_bytes(folder / one.mask_target, png(np.full(size, IGNORED, np.uint8)))
        regions = [
            Region(**region | {"polygon": tuple(region["polygon"])}) for region in json.loads(one.row["regions"])
        ]
        if regions:
            write_bytes(proposal_file(category, one), png(filled(regions, size).astype(np.uint8) * 255))
    write_bytes(folder / one.target, one.source.read_bytes())


def proposal_file(category: str, one: Addition) -> Path:
    """Where the model saw the defect, for a person to correct and to put into the place of its mask."""
    return folder_of(category) / "proposals" / one.mask_target.removeprefix("ground_truth/")


def png(levels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def finish(base: sqlite3.Connection, plan: Plan, folder: Path, entries: list[dict[str, Any]]) -> None:
    """review.json, with these `entries` so far, names every decision whose picture is in its place; the store may let
    these pictures go."""
    known = {one["sha256"]: one for one in entries}
    found = {one.sha256: known.get(one.sha256) or entry(one, plan) for one in [*plan.there, *plan.new]}
    if found.keys() - known.keys():
        write_reviewed(folder, list((known | found).values()))
    now = utc(time.time())
    with base:
        base.executemany("INSERT OR IGNORE INTO applied VALUES (?, ?)", [(sha256, now) for sha256 in found])


def entry(one: Addition, plan: Plan) -> dict[str, object]:
    """As review.json has it."""
    proposed = one.decision == "defect" and plan.has_masks
    return {
        "sha256": one.sha256, "file": one.target, "decision": one.decision, "kind": one.kind,
        "mask": "proposal" if proposed else "none", "by": one.by,
        "path": one.row.get("path"), **{name: one.row.get(name) for name in KEPT},
    }  # fmt: skip


def tell(plan: Plan, category: str, folder: Path) -> None:
    """Says what was added, and where proposals of masks are."""
    print(f"added {counts(plan.new)}, named in {(folder / FILE).as_posix()}")
    if any(proposal_file(category, one).is_file() for one in plan.new if one.decision == "defect"):
        proposals = (folder_of(category) / "proposals").as_posix()
        print(f"proposals of masks, to be corrected and put into ground_truth: {proposals}")


def counts(some: list[Addition]) -> str:
    good = sum(one.decision == "good" for one in some)
    parts = [counted(good, "good picture")] * bool(good)
    parts += [counted(len(some) - good, "defective picture")] * (len(some) > good)
    return " and ".join(parts)


def track(plan: Plan, category: str, folder: Path) -> None:
    """Has DVC track the folder, and proposes a commit where that changed something; a call that failed here is made up
    for by the next. Raises StageFailed."""
    if not Path(".dvc").is_dir():
        print("this folder is not under DVC, so no change is tracked")
        return
    file = Path(f"{folder.as_posix()}.dvc")
    before = file.read_bytes() if file.is_file() else b""
    log.info("dvc add %s", folder.as_posix())
    run_command("dvc add", [*DVC, "add", folder.as_posix()], on_line=log.info)
    if file.read_bytes() == before:
        return
    message = f"{category}: {counts(plan.new or plan.there)} that inspectors decided on"
    tracked = shlex.join([file.as_posix(), (folder.parent / ".gitignore").as_posix()])
    print(f"to keep it:\n  git add {tracked}\n  git commit -m {shlex.quote(message)}")
    print("next: fastflow report, which trains on it where pictures were added to train/good")
