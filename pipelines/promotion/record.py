"""A decision of the gate, carried out and recorded where people look for it: the report, the challenger's run and its
version's tags.

A promotion is recorded as `promoting: ...` first, then the champion's alias moves, then the tag has the verdict. A kill
in between leaves that word, which the next `promote` finds: the alias says whether the promotion took place.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from pipelines.core.gate_params import GateRules
from pipelines.core.paths import model_folder, model_name, report_folder
from pipelines.core.stage import log
from pipelines.promotion.gate import BEST
from pipelines.promotion.judge import Judged
from pipelines.registry import aliases
from pipelines.registry.aliases import CHAMPION, VERDICT, ChampionChanged
from pipelines.registry.best import Best, read_best, write_best
from pipelines.registry.model_card import with_decision
from pipelines.registry.store import Client
from pipelines.reporting.decision import FILE, KEPT, PROMOTING, read_decision, write_decision
from pipelines.reporting.gallery import write_decided_page
from pipelines.tracking.registration import version_of


def decide(client: Client, category: str, decision: dict[str, Any], judged: Judged, rules: GateRules) -> None:
    """Records a decision (verdict, reason, challenger, champion), and makes the challenger champion where it says so.

    Raises:
        ChampionChanged: another version became champion meanwhile; nothing was decided.
    """
    challenger, champion, verdict = decision["challenger"], decision["champion"], decision["verdict"]
    now = aliases.alias(client, model_name(category), CHAMPION)
    if now != champion:
        raise ChampionChanged(now)
    _record(client, category, decision, judged, rules)
    if verdict in KEPT:
        return
    try:
        aliases.replace_champion(client, category, challenger, champion=champion)
    except ChampionChanged:
        _withdraw(client, category, challenger)
        raise
    _remember(client, category, decision, judged)
    _tag(client, category, challenger, verdict_in_words(decision, judged))


def mend(client: Client, category: str) -> None:
    """Completes promotions that a kill interrupted: one whose version is champion has its verdict; another one was
    none, and is tried again as if nothing had been decided."""
    name = model_name(category)
    for version in aliases.versions(client, name):
        number, said = str(version.version), version.tags.get(VERDICT, "")
        if not said.startswith(PROMOTING):
            continue
        if aliases.alias(client, name, CHAMPION) == number:
            aliases.crown(client, category, number)  # what comes after the alias
            _tag(client, category, number, said.removeprefix(PROMOTING))
            log.warning(
                "%s: version %s is champion: its promotion was interrupted, and is recorded now", category, number
            )
        else:
            _withdraw(client, category, number)
            log.warning("%s: the promotion of version %s was interrupted before it was champion", category, number)


def _record(client: Client, category: str, decision: dict[str, Any], judged: Judged, rules: GateRules) -> None:
    """The page of the challenger's run is written again with it, where the report that is here is the challenger's."""
    challenger, verdict = decision["challenger"], decision["verdict"]
    decision = {
        "category": category,
        **decision,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "evaluation_set_sha256": judged.evaluation_set_sha256,
        "limits": rules.model_dump(),
        "rules": [rule._asdict() for rule in judged.rules],
    }
    text = verdict_in_words(decision, judged)
    _tag(
        client, category, challenger, text if verdict in KEPT else PROMOTING + text
    )  # first: the rest may be interrupted
    path = write_decision(report_folder(category), decision)
    with tempfile.TemporaryDirectory() as scratch:
        files = {path: f"gate/against_{decision['champion'] or 'none'}"}
        known = aliases.versions(client, model_name(category))
        if model_folder(category).is_dir() and version_of(known, model_folder(category)) == challenger:
            files[write_decided_page(Path(scratch), category)] = "report"
        aliases.annotate(client, category, challenger, {VERDICT: verdict}, files)
    made = aliases.get_version(client, category, challenger)
    card = with_decision(made.description or "", decision, text)
    client.update_model_version(made.name, made.version, description=card)


def verdict_in_words(decision: dict[str, Any], judged: Judged) -> str:
    """Such as `promoted`, and `forced: new camera; failed misses`."""
    rules = {"failed": judged.failed, "unclear": judged.unclear}
    why = [f"{word} {', '.join(rule.name for rule in found)}" for word, found in rules.items() if found]
    return ": ".join(filter(None, (decision["verdict"], "; ".join(filter(None, (decision["reason"], *why))))))


def _remember(client: Client, category: str, decision: dict[str, Any], judged: Judged) -> None:
    """The best figures on these test images. A person who took a model that is worse than an earlier champion has set
    another measure: it begins anew."""
    if judged.evaluation_set_sha256 is None:
        return
    best = read_best(client, category, judged.evaluation_set_sha256)
    challenger, figures = decision["challenger"], judged.figures
    if any(rule.name.startswith(BEST) for rule in (*judged.failed, *judged.unclear)):
        best, figures = Best(best.images, {}), {challenger: judged.figures[challenger]}
    for version, reached in figures.items():
        best = best.with_champion(version, reached)
    write_best(client, category, best)


def _withdraw(client: Client, category: str, version: str) -> None:
    """A promotion that did not take place leaves no word of it."""
    _tag(client, category, version, "")
    said = read_decision(report_folder(category))
    if said.get("challenger") == version and said["verdict"] not in KEPT:
        (report_folder(category) / FILE).unlink()


def _tag(client: Client, category: str, version: str, verdict: str) -> None:
    client.set_model_version_tag(model_name(category), version, VERDICT, verdict)
