"""The gate's decision as a file, reports/<category>/gate.json: written when it is made, shown in the report."""

import json
from pathlib import Path
from typing import Any

from fastflow.files import write_text

FILE = "gate.json"


def write_decision(folder: Path, decision: dict[str, Any]) -> Path:
    """`decision`: verdict, challenger, champion, reason, and `rules`, each with name, passed, sentence, figures."""
    path = folder / FILE
    write_text(path, json.dumps(decision, indent=2) + "\n")
    return path


def decision_facts(folder: Path) -> dict[str, str]:
    """The decision of a category's last gate as lines for people; empty where none was made."""
    path = folder / FILE
    if not path.is_file():
        return {}
    found = json.loads(path.read_text())
    reason = f" ({found['reason']})" if found["reason"] else ""
    champion = f"against version {found['champion']}" if found["champion"] else "no champion before"
    facts = {"gate": f"version {found['challenger']} {found['verdict']}, {champion}{reason}"}
    return facts | {
        f"gate: {rule['name']}": ("" if rule["passed"] else "FAILED: ") + rule["sentence"] for rule in found["rules"]
    }
