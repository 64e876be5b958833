"""The gate's rules on a challenger as it was registered: its run, its files, and what it does on the test images."""

from typing import NamedTuple

from fastflow.errors import BadData
from fastflow.index import verify_images
from pipelines.core.params import Params
from pipelines.promotion.evaluation_set import EvaluationSet
from pipelines.promotion.floors import floor_rules
from pipelines.promotion.gate import rules_against
from pipelines.promotion.rules import Outcome, Rule, of_outcome, passes_if
from pipelines.registry import aliases, registered, registry
from pipelines.registry.registry import Opened
from pipelines.registry.store import Client


class Judged(NamedTuple):
    """`rules` of a challenger; `opened`: its files are there and whole; the test images' hash, where it was scored."""

    rules: list[Rule]
    opened: bool
    evaluation_set_sha256: str | None = None

    @property
    def failed(self) -> list[Rule]:
        return of_outcome(self.rules, Outcome.FAILED)

    @property
    def unclear(self) -> list[Rule]:
        return of_outcome(self.rules, Outcome.INCONCLUSIVE)


def judge(client: Client, category: str, params: Params, challenger: str, champion: str | None) -> Judged:
    """All rules on a version, beside the champion where there is one.

    Raises:
        BadData: the test images are not those that were prepared, or a score of the challenger is no number.
    """
    version = aliases.get_version(client, category, challenger)
    status = aliases.run_status(client, version)
    rules = [Rule("finished", passes_if(status == "FINISHED"), f"its run is {status}", {"status": status})]
    try:
        opened = registry.open_version(client, category, challenger)
    except BadData as error:
        return Judged([*rules, Rule("artifact", Outcome.FAILED, str(error))], opened=False)
    text = "downloaded again: its content has the recorded hash, its example the recorded score"
    rules.append(Rule("artifact", Outcome.PASSED, text, {"sha256": opened.tags[registered.CONTENT]}))
    if opened.tags.get("threshold_method") == "misses":
        text = "chosen on labelled test images, so that misses and false rejects of those flatter it: a person decides"
        rules.append(Rule("threshold", Outcome.INCONCLUSIVE, text))
    images = EvaluationSet(category, params, distinct=True)
    verify_images(images.index, images.root)
    digest = images.sha256()
    if champion is None:
        found = _alone(images, opened, params, category)
    else:
        found = _beside(client, images, opened, champion, params, category)
    unchanged = passes_if(images.sha256() == digest)
    meanwhile = "unchanged meanwhile" if unchanged == Outcome.PASSED else "which changed meanwhile: try again"
    text = f"{len(images.index)} test images, sha256 {digest[:12]}, {meanwhile}"
    same = Rule("same_images", unchanged, text, {"sha256": digest})
    return Judged([*rules, same, *found], True, digest)


def _alone(images: EvaluationSet, opened: Opened, params: Params, category: str) -> list[Rule]:
    rules = params.gate.of(category)
    found = floor_rules(images.measure(opened.detector).scores, rules, first=True)
    if rules.first == "promote":
        return found
    text = "a person decides on a category's first champion; params.yaml: gate.first"
    return [*found, Rule("first", Outcome.INCONCLUSIVE, text)]


def _beside(
    client: Client, images: EvaluationSet, opened: Opened, champion: str, params: Params, category: str
) -> list[Rule]:
    """Where the champion cannot be scored, the floors of a first one, for the person who may force the challenger."""
    challenger = images.measure(opened.detector)
    try:
        other = registry.open_version(client, category, champion).detector
        both = challenger, images.measure(other)
    except BadData as error:
        lost = Rule("champion", Outcome.FAILED, f"version {champion} cannot be compared with: {error}")
        return [lost, *floor_rules(challenger.scores, params.gate.of(category), first=True)]
    same = both[0].architecture == both[1].architecture
    ratios = [] if same else images.speed_ratios(opened.detector, other)
    return rules_against(*both, params.gate.of(category), speed_ratios=ratios)
