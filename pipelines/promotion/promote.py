"""The gate: make a category's model its champion, where the rules show that it may be. Exit code 4: refused, a rule
failed; 6: inconclusive, the test images are too few to tell, or a person decides. Either way the champion stays.

Run as: fastflow promote bottle                 what models/bottle and its report are
        fastflow promote bottle --version 7     another version
What is inconclusive, a person may take:      ... --accept-inconclusive "looked at the report, all defects are found"
Against the rules (never a damaged artifact): ... --force --reason "new camera, the old model is blind"
"""

from collections.abc import Callable
from typing import NamedTuple

from pipelines.core.experiment import REGISTER
from pipelines.core.names import unknown
from pipelines.core.notify import notify
from pipelines.core.params import Params
from pipelines.core.paths import RUN, model_folder, model_name
from pipelines.core.rwlock import training_now
from pipelines.core.stage import Failed, Inconclusive, Refused, log
from pipelines.core.training_files import experiment_of
from pipelines.promotion.judge import Judged, judge
from pipelines.promotion.record import decide, mend
from pipelines.promotion.rules import Outcome, sentences
from pipelines.promotion.thresholds import different_aims
from pipelines.registry import aliases, store
from pipelines.registry.aliases import CHALLENGER, CHAMPION, VERDICT, ChampionChanged
from pipelines.registry.store import Client
from pipelines.reporting.decision import ACCEPTED, FORCED, INCONCLUSIVE, PROMOTED, REFUSED
from pipelines.tracking.registration import version_of
from pipelines.tracking.sync import sync


class Person(NamedTuple):
    """What a person says beside the rules. `force`, `accept`: the reason to take what failed, what is inconclusive;
    `ask`: asks a question at the terminal, where there is one, and returns the answer."""

    force: str = ""
    accept: str = ""
    ask: Callable[[str], str] | None = None


NOBODY = Person()
NO_REASONS = ("y", "yes", "n", "no")  # answers to a question that was not asked


def promote(category: str, params: Params, *, version: str | None = None, person: Person = NOBODY) -> None:
    """`version`: the challenger, by default what models/<category> is.

    Raises:
        Refused: a rule failed; the message names it. Or a rollback took that version from the line, and nobody named
            it since.
        Inconclusive: no rule failed, and not all could tell.
        Failed: another version became champion meanwhile.
        ValueError: there is no challenger, or no such version.
        ServerAway: the store does not answer.
        NotSynced: a journal of this category cannot be sent; it may hold a challenger.
    """
    sync(category=category)  # an evaluation whose server was away is a challenger, too
    client = store.connect()
    with store.answering():
        mend(client, category)
        champion = aliases.alias(client, model_name(category), CHAMPION)
        challenger = version or _challenger(client, category)
        if challenger is None and champion is None:
            raise ValueError(f"{model_name(category)} has no champion, and none was chosen: name one, --version N")
        if challenger in (None, champion):
            log.info("%s: version %s is champion already%s", category, champion, _waiting(client, category))
            return
        if version is None and aliases.is_withdrawn(aliases.get_version(client, category, str(challenger))):
            raise Refused(
                f"{category}: version {challenger} was rolled back, {_stays(champion)}; to take it all the same: "
                f"fastflow promote {category} --version {challenger}"
            )
        _decide(client, category, params, str(challenger), champion, person)


def _waiting(client: Client, category: str) -> str:
    """What to add where the newest evaluated version is another one, and the gate has not refused it."""
    waiting = aliases.alias(client, model_name(category), CHALLENGER)
    if waiting is None or aliases.get_version(client, category, waiting).tags.get(VERDICT, "").startswith(REFUSED):
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
    if known and not folder.is_dir():
        return aliases.alias(client, name, CHALLENGER)
    if found := version_of(known, folder) if known else None:
        return found
    if tried := experiment_of(folder) if (folder / RUN).is_file() else "":
        raise ValueError(
            f"{folder} is of the experiment {tried}, which is no release; to make it one: {REGISTER} {category}, then "
            f"fastflow promote {category}"
        )
    if not known:
        raise ValueError(f"{name} has no version yet; run: dvc repro evaluate@{category}")
    raise ValueError(
        f"{folder} is no version of {name} as it is now{training_now(category) or '; run: fastflow report'}; "
        "or name a version: --version N"
    )


def _decide(
    client: Client, category: str, params: Params, challenger: str, champion: str | None, person: Person
) -> None:
    for name in sorted(params.gate.categories.keys() - params.data.categories):
        nobody = unknown(name, params.data.categories, what="category", where="params.yaml (data.categories)")
        log.warning("these rules of gate.categories hold for nobody: %s", nobody)
    against = f" beside version {champion}, the champion" if champion else ""
    log.info("%s: trying version %s%s, on the test images", category, challenger, against)
    judged = judge(client, category, params, challenger, champion)
    if aim := different_aims(client, category, challenger, champion):
        log.warning("%s", aim)
    for rule in judged.rules:
        word = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.INCONCLUSIVE: "unclear"}[rule.outcome]
        log.info("%-7s  %-18s %s", word, rule.name, rule.sentence)
    verdict, reason = _verdict(category, judged, challenger, champion, person)
    decision = {"verdict": verdict, "reason": reason, "challenger": challenger, "champion": champion}
    try:
        decide(client, category, decision, judged, params.gate.of(category))
    except ChampionChanged as error:
        raise Failed(
            f"{category}: {_stays(error.champion)}, which changed while version {challenger} was tried; nothing was "
            f"decided: try again: fastflow promote {category} --version {challenger}"
        ) from error
    added, failed, unclear = f"; {aim}" * bool(aim), sentences(judged.failed), sentences(judged.unclear)
    if verdict == REFUSED:
        raise Refused(f"{category}: version {challenger} is refused, {_stays(champion)}: {failed}{added}")
    if verdict == INCONCLUSIVE:
        raise Inconclusive(
            f"{category}: version {challenger} is inconclusive, {_stays(champion)}: {unclear}{added}; to "
            f'take it all the same: fastflow promote {category} --version {challenger} --accept-inconclusive "why"'
        )
    log.info("%s: version %s is champion now (%s)", category, challenger, verdict)
    log.info("the next report shows it: fastflow report")
    text = f"version {challenger} is champion now ({verdict}), before it was {champion or 'none'}"
    notify("promoted", f"{category}: {text}")


def _verdict(category: str, judged: Judged, challenger: str, champion: str | None, person: Person) -> tuple[str, str]:
    """The verdict, and a person's reason where that made it."""
    if judged.failed:
        forced = person.force and judged.usable
        return (FORCED, person.force) if forced else (REFUSED, "")
    if not judged.unclear:
        return PROMOTED, ""
    reason = person.accept or person.force
    if not reason and person.ask:
        names = ", ".join(rule.name for rule in judged.unclear)
        place = f"instead of version {champion}" if champion else "as the first champion"
        reason = person.ask(
            f"{category}: no rule failed; unclear: {names}. To take version {challenger} {place}, say why; nothing, "
            "yes or no leaves all as it is: "
        )
        reason = "" if reason.casefold() in NO_REASONS else reason
    return (ACCEPTED, reason) if reason else (INCONCLUSIVE, "")


def _stays(champion: str | None) -> str:
    return f"version {champion} stays champion" if champion else "there is no champion"
