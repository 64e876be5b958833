"""What drawn defects a model must find, by its certificate (`fastflow certify`): gate.certified of params.yaml.

It needs no labelled defect. A certificate is of one model at one threshold; that of another says nothing of this one.
"""

import math
from collections.abc import Mapping

from fastflow.errors import BadData
from pipelines.promotion.rules import Outcome, Rule, passes_if
from pipelines.qualification.certificate import Certificate, read_certificate


def certified_rules(category: str, limits: Mapping[str, float], *, weights: str, threshold: float) -> list[Rule]:
    """A rule for each kind in `limits`: its a90/95 at the strongest contrast that was drawn, in pixels, at most.

    `weights`: the hash of the challenger's, as a certificate names its model; `threshold`: of its image scores.
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
    return [_rule(certificate, kind, limit) for kind, limit in limits.items()]


def _rule(certificate: Certificate, kind: str, limit: float) -> Rule:
    name = f"certified_{kind}"
    curves = [curve for curve in certificate.curves if curve.kind == kind]
    if not curves:
        known = ", ".join(dict.fromkeys(curve.kind for curve in certificate.curves))
        text = f"no {kind} was drawn; gate.certified may name {known}"
        return Rule(name, Outcome.INCONCLUSIVE, text)
    curve = max(curves, key=lambda one: one.contrast)
    figures = {"a90_95": curve.a90_95, "contrast": curve.contrast, "allowed": limit}
    drawn = f"drawn with {curve.contrast:.0%} contrast"
    if curve.a90_95 is None:
        largest = curve.steps[-1].size
        text = f"{drawn}, not shown to be found at any size up to {largest:g} pixels; allowed: {limit:g}"
        return Rule(name, Outcome.INCONCLUSIVE if largest < limit else Outcome.FAILED, text, figures)
    text = f"{drawn}, 9 of 10 are found from {curve.a90_95:g} pixels on, with 95% confidence; allowed: {limit:g}"
    return Rule(name, passes_if(curve.a90_95 <= limit), text, figures)
