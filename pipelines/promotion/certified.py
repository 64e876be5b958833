"""What drawn defects a model must find, by its certificate (`fastflow certify`): gate.certified of params.yaml.

It needs no labelled defect. A certificate is of one model at one threshold; that of another says nothing of this one.
"""

import math
from collections.abc import Mapping

from fastflow.errors import BadData
from pipelines.core.gate_params import CertifiedLimit
from pipelines.core.paths import CERTIFICATE, MODEL_ID, model_name
from pipelines.promotion.rules import Outcome, Rule, passes_if
from pipelines.qualification.certificate import Certificate, DetectionCurve, certificate_in, read_certificate
from pipelines.registry import aliases
from pipelines.registry.registry import number_of
from pipelines.registry.store import Client

OF_CHAMPION = "champion"
NO_VERSION = "there is no champion to be compared with"
TAG_ROUNDING = 1e-5  # a version's tag has six digits of its threshold


def certified_rules(
    category: str,
    limits: Mapping[str, CertifiedLimit],
    *,
    weights: str,
    threshold: float,
    champion: Certificate | str = NO_VERSION,
) -> list[Rule]:
    """A rule for each kind in `limits`: its a90/95 at the strongest contrast that was drawn, in pixels, at most.

    `weights`: the challenger's `weights_id`, as a certificate names its model; `threshold`: of its image scores.
    `champion`: its certificate, for limits that are no number, or why there is none.
    """
    try:
        certificate = read_certificate(category)
    except BadData as error:
        return [Rule("certified", Outcome.INCONCLUSIVE, str(error))]
    again = f"fastflow certify {category}, and promote again"
    if certificate is None:
        return [Rule("certified", Outcome.INCONCLUSIVE, f"there is no certificate; run: {again}")]
    if certificate.weights != weights or not math.isclose(certificate.threshold, threshold, rel_tol=1e-6):
        text = f"the certificate there is of another model or threshold ({certificate.model}); run: {again}"
        return [Rule("certified", Outcome.INCONCLUSIVE, text)]
    return [
        _beside_champion(certificate, champion, kind) if isinstance(limit, str) else _rule(certificate, kind, limit)
        for kind, limit in limits.items()
    ]


def champion_certificate(client: Client, category: str, version: str | None) -> Certificate | str:
    """The certificate in the run of a version, the champion; or why there is none, in words. Versions that differ in
    their threshold alone share a run: it holds that of the last one that was certified."""
    if version is None:
        return NO_VERSION
    made = aliases.get_version(client, category, version)
    content = aliases.file_of_run(client, made, f"certificate/{CERTIFICATE[0]}")
    name = f"{model_name(category)} version {version}, the champion"
    if content is None:
        return f"{name}, has no certificate in its run: it was not certified before it was promoted"
    try:
        found = certificate_in(content, f"the certificate of {name},", category)
        threshold = number_of(made.tags, "threshold", of=name)
    except BadData as error:
        return str(error)
    same_weights = made.tags.get(MODEL_ID) == found.weights
    if not same_weights or threshold is None or not math.isclose(found.threshold, threshold, rel_tol=TAG_ROUNDING):
        return f"the certificate in the run of {name}, is of another model or threshold ({found.model})"
    return found


def _rule(certificate: Certificate, kind: str, limit: float) -> Rule:
    name, curve = f"certified_{kind}", strongest(certificate, kind)
    if curve is None:
        return _none_drawn(certificate, kind)
    figures = {"a90_95": curve.a90_95, "contrast": curve.contrast, "allowed": limit}
    if curve.a90_95 is None:
        largest = curve.steps[-1].size
        text = f"{_drawn(curve)}, not shown to be found at any size up to {largest:g} pixels; allowed: {limit:g}"
        return Rule(name, Outcome.INCONCLUSIVE if largest < limit else Outcome.FAILED, text, figures)
    text = f"{_found_from(curve, curve.a90_95)}; allowed: {limit:g}"
    return Rule(name, passes_if(curve.a90_95 <= limit), text, figures)


def _beside_champion(certificate: Certificate, champion: Certificate | str, kind: str) -> Rule:
    """Passed from the champion's size down; failed where even the estimate, without its limits, lies above it."""
    name, curve = f"certified_{kind}", strongest(certificate, kind)
    if curve is None:
        return _none_drawn(certificate, kind)
    if isinstance(champion, str):
        return Rule(name, Outcome.PASSED if champion == NO_VERSION else Outcome.INCONCLUSIVE, champion)
    other = strongest(champion, kind)
    if other is None or _trial(champion) != _trial(certificate) or other.contrast != curve.contrast:
        text = "the champion's certificate is of other pictures or other drawings, so they cannot be compared"
        return Rule(name, Outcome.INCONCLUSIVE, text)
    figures = {"a90_95": curve.a90_95, "contrast": curve.contrast, "allowed": other.a90_95}
    if other.a90_95 is None:
        return Rule(name, Outcome.PASSED, f"{_drawn(curve)}, the champion is not shown to find it at any size", figures)
    allowed = f"the champion's: {other.a90_95:g}"
    if curve.a90_95 is not None and curve.a90_95 <= other.a90_95:
        return Rule(name, Outcome.PASSED, f"{_found_from(curve, curve.a90_95)}; {allowed}", figures)
    if curve.a90 is not None and curve.a90 <= other.a90_95:
        text = f"{_drawn(curve)}, 9 of 10 may be found from {curve.a90:g} pixels on, which is not certain; {allowed}"
        return Rule(name, Outcome.INCONCLUSIVE, text, figures)
    seem = "at no size" if curve.a90 is None else f"only from {curve.a90:g} pixels on"
    return Rule(name, Outcome.FAILED, f"{_drawn(curve)}, 9 of 10 seem to be found {seem}; {allowed}", figures)


def strongest(certificate: Certificate, kind: str) -> DetectionCurve | None:
    """Of a kind, the curve of the strongest contrast that was drawn."""
    curves = [curve for curve in certificate.curves if curve.kind == kind]
    return max(curves, key=lambda one: one.contrast, default=None)


def _trial(certificate: Certificate) -> tuple[object, ...]:
    """What two certificates must share to be compared."""
    return certificate.images, certificate.height, certificate.width, certificate.seed, certificate.per_step


def _none_drawn(certificate: Certificate, kind: str) -> Rule:
    known = ", ".join(dict.fromkeys(curve.kind for curve in certificate.curves))
    return Rule(f"certified_{kind}", Outcome.INCONCLUSIVE, f"no {kind} was drawn; gate.certified may name {known}")


def _drawn(curve: DetectionCurve) -> str:
    return f"drawn with {curve.contrast:.0%} contrast"


def _found_from(curve: DetectionCurve, size: float) -> str:
    return f"{_drawn(curve)}, 9 of 10 are found from {size:g} pixels on, with 95% confidence"
