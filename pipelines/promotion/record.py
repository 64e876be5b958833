"""A decision of the gate, where people look for it: the report, the challenger's run and its version's tags."""

import tempfile
import time
from pathlib import Path
from typing import Any

from pipelines.core.gate_params import GateRules
from pipelines.core.paths import model_folder, model_name, report_folder
from pipelines.promotion.judge import Judged
from pipelines.registry import aliases
from pipelines.registry.store import Client
from pipelines.reporting.decision import write_decision
from pipelines.reporting.gallery import write_decided_page
from pipelines.tracking.registration import version_of


def record(client: Client, category: str, decision: dict[str, Any], judged: Judged, rules: GateRules) -> None:
    """`decision`: verdict, reason, challenger and champion. The page of the challenger's run is written again with it,
    where the report that is here is the challenger's."""
    challenger = decision["challenger"]
    decision = {
        "category": category,
        **decision,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "evaluation_set_sha256": judged.evaluation_set_sha256,
        "limits": rules.model_dump(),
        "rules": [rule._asdict() for rule in judged.rules],
    }
    path = write_decision(report_folder(category), decision)
    tags = {
        "gate": decision["verdict"],
        "gate_failed": ", ".join(rule.name for rule in judged.failed),
        "gate_unclear": ", ".join(rule.name for rule in judged.unclear),
        "gate_reason": decision["reason"],
    }
    with tempfile.TemporaryDirectory() as scratch:
        files = {path: f"gate/against_{decision['champion'] or 'none'}"}
        known = aliases.versions(client, model_name(category))
        if model_folder(category).is_dir() and version_of(known, model_folder(category)) == challenger:
            files[write_decided_page(Path(scratch), category)] = "report"
        aliases.annotate(client, category, challenger, tags, files)
