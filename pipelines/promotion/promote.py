"""The gate: make a category's model its champion, if it is not worse. Exit code 4: refused, the champion stays.

Run as: fastflow promote bottle                 what models/bottle and its report are
        fastflow promote bottle --version 7     another version
Against the rules (never against a damaged artifact): ... --force --reason "new camera, the old model is blind"
"""

import time
from typing import Any

from fastflow.errors import BadData
from pipelines.core.notify import notify
from pipelines.core.params import Params
from pipelines.core.paths import model_folder, model_name, report_folder
from pipelines.core.percent import choosing
from pipelines.core.running import training_now
from pipelines.core.stage import Refused, log
from pipelines.promotion.candidates import EvaluationSet
from pipelines.promotion.gate import Measured, Rule, false_rejects, first_rules, rules_against
from pipelines.registry import aliases, registered, registry, store
from pipelines.registry.aliases import CHALLENGER, CHAMPION
from pipelines.registry.registry import Opened
from pipelines.registry.store import Client
from pipelines.reporting.decision import write_decision
from pipelines.tracking.registration import version_of
from pipelines.tracking.sync import sync


def promote(category: str, params: Params, *, version: str | None = None, reason: str = "") -> None:
    """`version`: the challenger, by default what models/<category> is. `reason`: given, the rules are only told.

    Raises:
        Refused: a rule failed; the message names it. Or a rollback took that version from the line, and nobody named
            it since.
        ValueError: there is no challenger, or no such version.
        ServerAway: the store does not answer.
        NotSynced: a journal of this category cannot be sent; it may hold a challenger.
    """
    sync(category=category)  # an evaluation whose server was away is a challenger, too
    client = store.connect()
    with store.answering():
        champion = aliases.alias(client, model_name(category), CHAMPION)
        challenger = version or _challenger(client, category)
        if challenger is None and champion is None:
            raise ValueError(f"{model_name(category)} has no champion, and none was chosen: name one, --version N")
        if challenger in (None, champion):
            log.info("%s: version %s is champion already%s", category, champion, _waiting(client, category))
            return
        tags = aliases.get_version(client, category, str(challenger)).tags
        if version is None and tags.get(aliases.ROLLED_BACK_TAG) == "true":
            raise Refused(
                f"{category}: version {challenger} was rolled back, {_stays(champion)}; to take it all the same: "
                f"fastflow promote {category} --version {challenger}"
            )
        _decide(client, category, params, str(challenger), champion, reason)


def _waiting(client: Client, category: str) -> str:
    """What to add where the newest evaluated version is another one, and the gate has not refused it."""
    waiting = aliases.alias(client, model_name(category), CHALLENGER)
    if waiting is None or aliases.get_version(client, category, waiting).tags.get("gate") == "refused":
        return ""
    return f"; version {waiting} was evaluated, too: --version {waiting}"


def _challenger(client: Client, category: str) -> str | None:
    """The version that models/<category> is: not always the newest evaluated, as one may go back to a threshold. That
    one where this machine has no such folder; None where it is champion.

    Raises:
        ValueError: there is no version, or the folder is none of them.
    """
    name, folder = model_name(category), model_folder(category)
    known = aliases.versions(client, name)
    if not known:
        raise ValueError(f"{name} has no version yet; run: dvc repro evaluate@{category}")
    if not folder.is_dir():
        return aliases.alias(client, name, CHALLENGER)
    if found := version_of(known, folder):
        return found
    raise ValueError(
        f"{folder} is no version of {name} as it is now{training_now(category) or '; run: fastflow report'}; "
        "or name a version: --version N"
    )


def _decide(client: Client, category: str, params: Params, challenger: str, champion: str | None, reason: str) -> None:
    against = f" beside version {champion}, the champion" if champion else ""
    log.info("%s: trying version %s%s, on the test images", category, challenger, against)
    opened, rules = _opened(client, category, challenger)
    images: str | None = None
    if opened is not None:
        found, images = _measured(client, category, params, opened, champion, rules)
        rules += found
    failed = [rule for rule in rules if not rule.passed]
    if aim := _other_aim(client, category, challenger, champion):
        log.warning("%s", aim)
    forced = bool(failed and reason and opened is not None)
    verdict = "forced" if forced else "refused" if failed else "promoted"
    decision = {
        "category": category,
        "verdict": verdict,
        "reason": reason,
        "challenger": challenger,
        "champion": champion,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "evaluation_set_sha256": images,
        "limits": params.gate.model_dump(),
        "rules": [rule._asdict() for rule in rules],
    }
    _tell(client, category, decision, failed)
    for rule in rules:
        log.info("%s  %-13s %s", "ok    " if rule.passed else "FAILED", rule.name, rule.sentence)
    if failed and not forced:
        text = "; ".join(f"{rule.name}: {rule.sentence}" for rule in failed)
        text += f"; {aim}" * bool(aim)
        raise Refused(f"{category}: version {challenger} is refused, {_stays(champion)}: {text}")
    aliases.crown(client, category, challenger)
    log.info("%s: version %s is champion now (%s)", category, challenger, verdict)
    log.info("the next report shows it: fastflow report")
    notify(
        "promoted", f"{category}: version {challenger} is champion now ({verdict}), before it was {champion or 'none'}"
    )


def _other_aim(client: Client, category: str, challenger: str, champion: str | None) -> str:
    """What to say where the two thresholds do not aim at the same: a training starts from params.yaml's rate again."""
    if champion is None:
        return ""
    both = [aliases.get_version(client, category, version).tags for version in (challenger, champion)]
    if not all("threshold_rate" in tags for tags in both):
        return ""
    aims = [
        "the misses of labelled defects"
        if tags["threshold_method"] == "misses"
        else f"{100 * float(tags['threshold_rate']):.3g} % of good parts rejected"
        for tags in both
    ]
    if aims[0] == aims[1]:
        return ""
    return (
        f"version {challenger}'s threshold was chosen for {aims[0]}, the champion's for {aims[1]}; "
        f"to have that, without training: {choosing(category, both[1])}"
    )


def _opened(client: Client, category: str, version: str) -> tuple[Opened | None, list[Rule]]:
    """The challenger downloaded and tried, and the rules on its run and its artifact."""
    made = aliases.get_version(client, category, version)
    status = aliases.run_status(client, made)
    rules = [Rule("finished", status == "FINISHED", f"its run is {status}", {"status": status})]
    try:
        opened = registry.open_version(client, category, version)
    except BadData as error:
        return None, [*rules, Rule("artifact", False, str(error))]
    text = "downloaded again: its content has the recorded hash, its example the recorded score"
    return opened, [*rules, Rule("artifact", True, text, {"sha256": opened.tags[registered.CONTENT]})]


def _measured(
    client: Client,
    category: str,
    params: Params,
    opened: Opened,
    champion: str | None,
    rules: list[Rule],
) -> tuple[list[Rule], str]:
    """The rules on what both models do on the same images, and those images' hash."""
    images = EvaluationSet(category, params)
    digest = images.sha256()
    if opened.tags.get("threshold_method") == "misses":
        log.warning("its threshold was chosen on the labelled test images: what is measured on them flatters it")
    if champion is None:
        (challenger,) = images.measure([opened.detector])
        if not (rejects := false_rejects(challenger.scores, params.gate.false_reject_rate)).passed:
            log.warning(
                "%s for a later model; a first champion is not held to it, as it replaces none", rejects.sentence
            )
        return first_rules(challenger, params.gate, category=category), digest
    try:
        reigning = registry.open_version(client, category, champion)
    except BadData as error:
        return [Rule("champion", False, f"version {champion} cannot be compared with: {error}")], digest
    both: list[Measured] = images.measure([opened.detector, reigning.detector])
    unchanged = images.sha256() == digest
    same = Rule("same_images", unchanged, f"{len(images.index)} test images, sha256 {digest[:12]}", {"sha256": digest})
    return [same, *rules_against(both[0], both[1], params.gate, category=category)], digest


def _tell(client: Client, category: str, decision: dict[str, Any], failed: list[Rule]) -> None:
    """The decision into the report's folder, the challenger's run, and the version's tags."""
    path = write_decision(report_folder(category), decision)
    tags = {
        "gate": decision["verdict"],
        "gate_failed": ", ".join(r.name for r in failed),
        "gate_reason": decision["reason"],
    }
    against = decision["champion"] or "none"
    aliases.annotate(client, category, decision["challenger"], tags, path, f"gate/against_{against}")


def _stays(champion: str | None) -> str:
    return f"version {champion} stays champion" if champion else "there is no champion"
