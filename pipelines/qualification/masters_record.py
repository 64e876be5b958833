"""The checks of master parts: masters/<category>.json, the last one, and <category>.jsonl, all of them, one a line.

A server reads the last one before it says that it is ready. Imports neither PyTorch nor MLflow.
"""

import math
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, ValidationError

from fastflow.errors import BadData
from fastflow.files import write_bytes, write_text
from pipelines.core.lock import locked
from pipelines.core.names import counted
from pipelines.core.params import Masters
from pipelines.core.paths import MASTERS
from pipelines.core.stored import sentence
from pipelines.qualification.kept import Kept
from pipelines.qualification.masters_store import Expect, Sha256
from pipelines.qualification.shots import listed

AHEAD = timedelta(minutes=5)  # by which two machines' clocks may differ


class Judged(Kept, frozen=True):
    """A photograph of a master part, and what the model says of it."""

    part: str
    expect: Expect
    file: str
    sha256: Sha256
    pred_score: FiniteFloat
    pred_label: Literal[0, 1]

    @property
    def right(self) -> bool:
        return self.pred_label == (self.expect == "defect")


class MastersCheck(Kept, frozen=True):
    """`model`: as score files name it; `weights`: their hash, empty for an export, whose `model` it may be.
    `new_photographs`: taken anew, not those that were stored; `since`: when these were first used, for stored ones
    `time`."""

    format: Literal[1] = 1
    category: str
    time: AwareDatetime
    since: AwareDatetime
    model: str
    weights: str
    threshold: FiniteFloat
    new_photographs: bool
    shots: Annotated[list[Judged], Field(min_length=1)]

    @property
    def wrong(self) -> list[str]:
        """Parts with a verdict that is not the known one."""
        return list(dict.fromkeys(shot.part for shot in self.shots if not shot.right))

    @property
    def parts(self) -> list[str]:
        return list(dict.fromkeys(shot.part for shot in self.shots))

    @property
    def margin(self) -> float:
        """How far the photograph nearest to the wrong side of the threshold is from it; below 0 where one is there."""
        signs = {"good": -1, "defect": 1}
        return min(signs[shot.expect] * (shot.pred_score - self.threshold) for shot in self.shots)

    @property
    def result(self) -> str:
        """In a sentence."""
        if not self.wrong:
            return f"all {counted(len(self.parts), 'master part')} got their known verdict"
        parts = counted(len(self.parts), "master part")
        return f"{len(self.wrong)} of {parts} got the wrong verdict: {listed(self.wrong)}"


def record_file(category: str) -> Path:
    return MASTERS / f"{category}.json"


def history_file(category: str) -> Path:
    return record_file(category).with_suffix(".jsonl")


def read_last(category: str) -> MastersCheck | None:
    """None where there was no check. Raises BadData where its record is damaged."""
    path = record_file(category)
    return _parsed(path.read_bytes(), str(path), category) if path.is_file() else None


def read_history(category: str) -> list[MastersCheck]:
    """All checks, oldest first. Raises BadData where one is damaged."""
    path = history_file(category)
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return [_parsed(line, f"{path}, line {number},", category) for number, line in enumerate(lines, 1)]


def write_check(check: MastersCheck) -> None:
    """As the last one, which counts, then as a line of the history; each file at once."""
    path, line = history_file(check.category), check.model_dump_json().encode() + b"\n"
    MASTERS.mkdir(exist_ok=True)
    with locked(MASTERS / f".{check.category}.lock"):
        write_text(record_file(check.category), check.model_dump_json(indent=2) + "\n")
        write_bytes(path, (path.read_bytes() if path.is_file() else b"") + line)


def why_not_ready(
    category: str, rule: Masters, *, model: str, threshold: float, now: datetime | None = None
) -> str | None:
    """Why `model` (as it is served), at this threshold, may not judge parts now; None where it may."""
    cure = f"run: fastflow masters {category} check{' DIR, with photographs taken now' * rule.new_photographs}"
    try:
        check = read_last(category)
    except (BadData, OSError) as error:
        return str(error)
    if check is None:
        return f"there is no check of master parts; {cure}"
    if model.partition(" ")[0] not in _names(check):
        return f"the last check of master parts is of model {check.model}, and {model} is served; {cure}"
    if not math.isclose(check.threshold, threshold, rel_tol=1e-6):
        return (
            f"the last check of master parts is of threshold {check.threshold:g}, and {threshold:g} is served; {cure}"
        )
    if check.wrong:
        return f"at the last check of master parts {check.result}; see {record_file(category).with_suffix('.html')}"
    if rule.new_photographs and not check.new_photographs:
        return f"the last check of master parts was of stored photographs, and new ones are required; {cure}"
    age = (now or datetime.now(UTC)) - check.since
    if age > timedelta(hours=rule.hours) or age < -AHEAD:
        hours = age.total_seconds() / 3600
        return f"the last check of master parts is {hours:.1f} hours old; allowed: {rule.hours:g}; {cure}"
    return None


def when(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M %Z}"


def _names(check: MastersCheck) -> Collection[str]:
    return {check.model.partition(" ")[0], check.weights} - {""}


def _parsed(content: bytes, where: str, category: str) -> MastersCheck:
    try:
        return MastersCheck.model_validate_json(content)
    except ValidationError as error:
        raise BadData(
            f"{where} is damaged: {sentence(error)}; move it away, and check again: fastflow masters {category} check"
        ) from error
