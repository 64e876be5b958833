"""What applying an inspection's decisions would change in a category's folder, and what is left out, and why."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from fastflow.files import file_sha256
from fastflow.index import GOOD, list_category, mask_path
from pipelines.review.decisions import disagreements, said_of
from pipelines.review.store import AGREED, picture_file

HASH_DIGITS = 16  # in a file's name
NAMED = 10  # pictures that a summary lists of each reason
DECIDED = f"SELECT * FROM opinions WHERE {AGREED} ORDER BY sha256"
PICTURE = "SELECT * FROM pictures WHERE sha256 = ?"


class Addition(NamedTuple):
    """A picture that goes to `target`, a path in the category's folder. `row`: the store's; `by`: who said so, when."""

    sha256: str
    source: Path
    target: str
    decision: str
    kind: str
    by: list[dict[str, str]]
    row: dict[str, Any]

    @property
    def mask_target(self) -> str:
        return mask_path(self.kind, Path(self.target))


class Plan(NamedTuple):
    """`new`: to be added; `there`: in their place already. Left out, each as a sentence: `disputed`, `refused` for what
    the folder holds, and `lost`, of which there is no copy any more. `withdrawn`: applied, by a decision that no longer
    stands."""

    new: list[Addition]
    there: list[Addition]
    disputed: list[str]
    refused: list[str]
    lost: list[str]
    withdrawn: list[str]
    has_masks: bool


def plan_of(base: sqlite3.Connection, category: str, folder: Path, entries: list[dict[str, Any]]) -> Plan:
    """`entries`: of review.json. Raises BadData where there is no such folder."""
    places = contents(folder)
    plan = Plan([], [], [], [], [], withdrawn(base, entries, places), (folder / "ground_truth").is_dir())
    for one in base.execute(DECIDED).fetchall():
        sha256, decision = one["sha256"], "defect" if one["defect"] else "good"
        row = base.execute(PICTURE, (sha256,)).fetchone()
        by = [{"inspector": said["inspector"], "time": said["time"]} for said in said_of(base, sha256)]
        place = f"test/{one['kind']}" if decision == "defect" else f"train/{GOOD}"
        found = places.get(sha256, "")
        if row is None and not found:
            plan.lost.append(f"{sha256[:HASH_DIGITS]}: its copy is no longer kept")
            continue
        suffix = row["suffix"] if row else Path(found).suffix
        source = picture_file(category, sha256, suffix)
        target = found or f"{place}/line-{sha256[:HASH_DIGITS]}{suffix}"
        addition = Addition(sha256, source, target, decision, one["kind"], by, dict(row) if row else {})
        if not found:
            is_whole = source.is_file() and file_sha256(source) == sha256
            plan.new.append(addition) if is_whole else plan.lost.append(f"{source}: missing or damaged")
        elif found.rpartition("/")[0] == place:
            plan.there.append(addition)
        else:
            what = f"defect ({one['kind']})" if decision == "defect" else GOOD
            plan.refused.append(f"{found}: decided to be {what}, but it lies there; remove it there first")
    plan.disputed.extend(dispute(base, sha256) for sha256 in disagreements(base))
    return plan


def withdrawn(base: sqlite3.Connection, entries: list[dict[str, Any]], places: dict[str, str]) -> list[str]:
    """Pictures that lie where an earlier decision put them, on which nobody has a standing one any more."""
    found = []
    for one in entries:
        known = base.execute("SELECT 1 FROM decisions WHERE sha256 = ?", (one["sha256"],)).fetchone()
        if known and places.get(one["sha256"]) == one["file"] and not said_of(base, one["sha256"]):
            found.append(f"{one['file']}: remove it there, and its mask, unless it is right")
    return found


def contents(folder: Path) -> dict[str, str]:
    """Where each picture of a category lies, by its sha256; a picture of both splits is in train here."""
    paths = list_category(folder)["image_path"].tolist()
    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(lambda path: file_sha256(folder / path), paths))
    return dict(reversed(list(zip(hashes, paths, strict=True))))


def dispute(base: sqlite3.Connection, sha256: str) -> str:
    row = base.execute("SELECT path FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
    said = [f"{one['inspector']} {one['action']}{one['kind'] and ' ' + one['kind']}" for one in said_of(base, sha256)]
    return f"{Path(row['path']).name if row else sha256[:HASH_DIGITS]}: {', '.join(said)}"


def summary(plan: Plan, folder: Path) -> str:
    """What would be added, and what is left out."""
    lines = [f"{folder.as_posix()} would get:"] if plan.new else [f"nothing new for {folder.as_posix()}"]
    added = Counter(one.target.rpartition("/")[0] for one in plan.new)
    lines += [f"  {place}: {count} more" for place, count in sorted(added.items())]
    if plan.has_masks and any(one.decision == "defect" for one in plan.new):
        lines.append("  their masks leave all pixels out of the evaluation, until a person has drawn them")
    if plan.there:
        lines.append(f"there already: {len(plan.there)}")
    for what, listed in (
        ("inspectors disagree, so left out", plan.disputed),
        ("content is in the folder with another meaning, so refused", plan.refused),
        ("cannot be applied any more", plan.lost),
        ("applied earlier, and the decision was taken back", plan.withdrawn),
    ):
        if listed:
            more = f"\n  and {len(listed) - NAMED} more" * (len(listed) > NAMED)
            lines.append(f"{what}: {len(listed)}\n  " + "\n  ".join(listed[:NAMED]) + more)
    return "\n".join(lines)
