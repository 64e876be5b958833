"""The gate's rules on a challenger as it was registered: its run, its files, and what it does on the test images."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from fastflow.detector import NotFinite
from fastflow.errors import BadData
from fastflow.index import verify_images
from pipelines.core.gate_params import GateRules
from pipelines.core.params import Params
from pipelines.promotion.certified import NO_VERSION, OF_CHAMPION, certified_rules, champion_certificate
from pipelines.promotion.evaluation_set import EvaluationSet
from pipelines.promotion.floors import floor_rules
from pipelines.promotion.gate import BEST, best_figures, rules_against, rules_against_best
from pipelines.promotion.rules import Measured, Outcome, Rule, of_outcome, passes_if
from pipelines.registry import aliases, registered, registry
from pipelines.registry.best import Figures, read_best
from pipelines.registry.registry import Opened
from pipelines.registry.store import Client

NO_FIGURES: Mapping[str, Figures] = MappingProxyType({})


class Judged(NamedTuple):
    """`rules` of a challenger; `usable`: its files are there and whole, and its scores are numbers; the test images'
    hash, where it was scored; what it and the champion reach on them, by version, the champion first."""

    rules: list[Rule]
    usable: bool
    evaluation_set_sha256: str | None = None
    figures: Mapping[str, Figures] = NO_FIGURES

    @property
    def failed(self) -> list[Rule]:
        return of_outcome(self.rules, Outcome.FAILED)

    @property
    def unclear(self) -> list[Rule]:
        return of_outcome(self.rules, Outcome.INCONCLUSIVE)


def judge(client: Client, category: str, params: Params, challenger: str, champion: str | None) -> Judged:
    """All rules on a version, beside the champion where there is one.

    Raises:
        BadData: the test images are not those that were prepared.
    """
    version = aliases.get_version(client, category, challenger)
    status = aliases.run_status(client, version)
    rules = [Rule("finished", passes_if(status == "FINISHED"), f"its run is {status}", {"status": status})]
    try:
        opened = registry.open_version(client, category, challenger)
    except BadData as error:
        return Judged([*rules, Rule("artifact", Outcome.FAILED, str(error))], usable=False)
    text = "downloaded again: its content has the recorded hash, its example the recorded score"
    rules.append(Rule("artifact", Outcome.PASSED, text, {"sha256": opened.tags[registered.CONTENT]}))
    if opened.tags.get("threshold_method") == "misses":
        text = "chosen on labelled test images, so that misses and false rejects of those flatter it: a person decides"
        rules.append(Rule("threshold", Outcome.INCONCLUSIVE, text))
    images = EvaluationSet(category, params, distinct=True)
    verify_images(images.index, images.root)
    digest = images.sha256()
    try:
        measured = images.measure(opened.detector)
    except NotFinite as error:
        return Judged([*rules, Rule("scores", Outcome.FAILED, str(error))], usable=False)
    rules += _seen(images, challenger, opened, "challenger", Outcome.INCONCLUSIVE)
    figures: dict[str, Figures] = {challenger: best_figures(measured)}
    if champion is None:
        found = _alone(measured, params.gate.of(category))
    else:
        found, of_champion = _beside(client, images, opened, measured, champion, params.gate.of(category), category)
        figures = of_champion | figures
        if of_champion:
            best = read_best(client, category, digest)
            others = {v: n for v, n in best.versions(above=of_champion[champion]).items() if v not in figures}
            found += _beside_best(client, images, measured, others, params.gate.of(category), category)
    if limits := params.gate.of(category).certified:
        weights, threshold = opened.detector.version, opened.detector.threshold["image"]
        compared = OF_CHAMPION in limits.values()
        other = champion_certificate(client, category, champion) if compared else NO_VERSION
        found += certified_rules(category, limits, weights=weights, threshold=threshold, champion=other)
    unchanged = passes_if(images.sha256() == digest)
    meanwhile = "unchanged meanwhile" if unchanged == Outcome.PASSED else "which changed meanwhile: try again"
    text = f"{len(images.index)} test images, sha256 {digest[:12]}, {meanwhile}"
    same = Rule("same_images", unchanged, text, {"sha256": digest})
    return Judged([*rules, same, *found], True, digest, figures)


def _seen(images: EvaluationSet, version: str, opened: Opened, who: str, outcome: Outcome) -> list[Rule]:
    """A rule where test images were trained on by a version: photographs that were added since may have moved them."""
    count = len(opened.trained_on.intersection(images.index["sha256"]))
    text = f"version {version} was trained on {count} of these {len(images.index)} test images, which flatter it"
    return [Rule(f"seen_by_{who}", outcome, text, {"count": count})] if count else []


def _alone(measured: Measured, rules: GateRules) -> list[Rule]:
    found = floor_rules(measured.scores, rules, first=True)
    if rules.first == "promote":
        return found
    text = "a person decides on a category's first champion; params.yaml: gate.first"
    return [*found, Rule("first", Outcome.INCONCLUSIVE, text)]


def _beside(
    client: Client,
    images: EvaluationSet,
    opened: Opened,
    challenger: Measured,
    champion: str,
    rules: GateRules,
    category: str,
) -> tuple[list[Rule], dict[str, Figures]]:
    """The rules, and the champion's figures. Where it cannot be scored, the floors of a first one, for the person who
    may force the challenger."""
    try:
        other = registry.open_version(client, category, champion)
        measured = images.measure(other.detector)
    except BadData as error:
        lost = Rule("champion", Outcome.FAILED, f"version {champion} cannot be compared with: {error}")
        return [lost, *floor_rules(challenger.scores, rules, first=True)], {}
    same = challenger.architecture == measured.architecture
    ratios = [] if same else images.speed_ratios(opened.detector, other.detector)
    found = _seen(images, champion, other, "champion", Outcome.PASSED)  # it only makes it harder to replace
    found += rules_against(challenger, measured, rules, speed_ratios=ratios)
    return found, {champion: best_figures(measured)}


def _beside_best(
    client: Client,
    images: EvaluationSet,
    challenger: Measured,
    others: Mapping[str, Collection[str]],
    rules: GateRules,
    category: str,
) -> list[Rule]:
    """Beside earlier champions, each the best in the figures named."""
    found: list[Rule] = []
    for version, names in others.items():
        try:
            best = images.measure(registry.open_version(client, category, version).detector)
            found += rules_against_best(challenger, best, names, rules, version=version)
        except BadData as error:
            lost = f"version {version}, an earlier champion that was better, cannot be compared with: {error}"
            found.append(Rule(f"{BEST}champion", Outcome.INCONCLUSIVE, lost))
    return found
