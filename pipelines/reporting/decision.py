"""What was last decided on a category's champion, by the gate or by a rollback: reports/<category>/gate.json, written
when it is decided, shown in the report."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fastflow.files import write_text
from pipelines.core.stored import Stored, read_stored

FILE = "gate.json"
PROMOTED, REFUSED, INCONCLUSIVE = "promoted", "refused", "inconclusive"
ACCEPTED, FORCED = "accepted", "forced"  # by a person: what was inconclusive, what was refused
ROLLED_BACK = "rolled back"
PROMOTING = "promoting: "  # in a version's tag, before the verdict, until it is champion
KEPT = (REFUSED, INCONCLUSIVE, ROLLED_BACK)  # verdicts after which the decision's `champion` is champion


class _Rule(Stored):
    name: str
    outcome: Literal["passed", "failed", "inconclusive"] | None = None
    passed: bool | None = None  # as older versions wrote it
    sentence: str = ""
    figures: dict[str, Any] = Field(default_factory=dict)


class _Decision(Stored):
    verdict: Literal["promoted", "refused", "inconclusive", "accepted", "forced", "rolled back"]
    challenger: str | None = None
    champion: str | None = None
    reason: str = ""
    rules: list[_Rule] = Field(default_factory=list)


def write_decision(folder: Path, decision: dict[str, Any]) -> Path:
    """`decision`: verdict, challenger, champion, reason, and `rules`, each with name, outcome, sentence, figures. Of a
    rollback, `champion` is the version that is champion again, and `challenger` the one that no longer is."""
    path = folder / FILE
    write_text(path, json.dumps(decision, indent=2) + "\n")
    return path


def read_decision(folder: Path) -> dict[str, Any]:
    """The last decision on a category; empty where none was made. Raises BadData where the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return {}
    found = read_stored(path, _Decision, cure="remove it: the next decision is written anew")
    decision: dict[str, Any] = {"challenger": None, "champion": None, "reason": "", "rules": [], **found}
    decision["rules"] = [{"outcome": None, "sentence": "", "figures": {}, **rule} for rule in decision["rules"]]
    for rule in decision["rules"]:
        if "passed" in rule:
            rule["outcome"] = "passed" if rule.pop("passed") else "failed"
    return decision


def in_words(decision: dict[str, Any]) -> str:
    """What was decided on, in one line; the verdict itself is `decision["verdict"]`."""
    if decision["verdict"] == ROLLED_BACK:
        return f"version {decision['champion']} is champion again, version {decision['challenger']} no longer"
    reason = f" ({decision['reason']})" if decision["reason"] else ""
    champion = f"against version {decision['champion']}" if decision["champion"] else "no champion before"
    return f"version {decision['challenger']}, {champion}{reason}"
