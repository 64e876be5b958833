"""A certificate in words, for who signs it."""

import math
from collections.abc import Sequence
from itertools import pairwise

from pipelines.qualification.certificate import Certificate, DetectionCurve

PLURALS = {"scratch": "scratches", "spot": "spots", "stain": "stains", "dent": "dents", "patch": "patches"}
ACROSS = {"scratch": "or longer"}  # how a size is called; the others: across
EXPLAINED = {
    "scratch": "a thin line, lighter or darker, a sixteenth as wide as it is long, one pixel at least",
    "spot": "a round or oval spot with a sharp edge",
    "stain": "an irregular tinted area that fades out",
    "dent": "the shading of a shallow hollow: one side lighter, the other darker",
    "patch": "a rectangle without the surface's texture: a piece is missing, or something foreign lies there",
}
CONTRASTS = {0.5: "strong", 0.25: "medium", 0.1: "faint"}


def length(pixels: float, mm_per_pixel: float | None) -> str:
    """Such as: 14 px, or 14 px (0.7 mm)."""
    text = f"{pixels:.3g} px" if pixels < 1000 else f"{pixels:.0f} px"
    return text if mm_per_pixel is None else f"{text} ({pixels * mm_per_pixel:.3g} mm)"


def strength(contrast: float) -> str:
    """Such as: strong, 50 % of the range from black to white."""
    return CONTRASTS.get(contrast, f"{contrast:.0%}")


def sentence(curve: DetectionCurve, mm_per_pixel: float | None) -> str:
    """What was shown for one kind and contrast."""
    subject = f"{strength(curve.contrast)} {PLURALS.get(curve.kind, curve.kind)}".capitalize()
    if curve.a90_95 is not None:
        smallest = " (the smallest size tried)" * (curve.a90_95 <= curve.steps[0].size)
        size = f"{length(curve.a90_95, mm_per_pixel)}{smallest} {ACROSS.get(curve.kind, 'or more across')}"
        return f"{subject} of {size} are found in 9 of 10 cases, with 95 % confidence"
    return f"{subject}: not reached: {why_not(curve, mm_per_pixel)}"


def headline(curves: Sequence[DetectionCurve], mm_per_pixel: float | None) -> str:
    """What was shown for a kind: its curves, by falling contrast, in one sentence."""
    first, rest = curves[0], curves[1:]
    if not any(curve.a90_95 for curve in curves):
        return f"{PLURALS.get(first.kind, first.kind).capitalize()}: not reached: {why_not(first, mm_per_pixel)}"
    more = [
        f"{strength(curve.contrast)} ones "
        + (f"from {length(curve.a90_95, mm_per_pixel)} on" if curve.a90_95 else "are not shown to be found")
        for curve in rest
    ]
    sizes = [curve.a90_95 or math.inf for curve in curves]
    if any(fainter < stronger for stronger, fainter in pairwise(sizes)):
        more.append("a fainter one is never easier to find, so what differs here is chance")
    return "; ".join([sentence(first, mm_per_pixel), *more])


def why_not(curve: DetectionCurve, mm_per_pixel: float | None) -> str:
    """Why a90/95 was not reached."""
    last = curve.steps[-1]
    if curve.outcome == "contradicted":
        return "larger ones are missed again, so that no size can be named from which on they are found"
    largest = f"of the largest, {length(last.size, mm_per_pixel)}, {last.found} of {last.drawn} were found"
    if not sum(step.found for step in curve.steps):
        return f"none was found, not even {largest.removeprefix('of ')}"
    if (lower := max(curve.lower)) < 0.9:
        return f"{largest}, and the lower limit of the curve reaches {lower:.0%}, not 90 %; more drawings may show it"
    return f"{largest}, which does not show 9 of 10 with 95 % confidence"


def false_calls(certificate: Certificate) -> str:
    """How many good pictures are rejected."""
    calls = certificate.false_calls
    return (
        f"the model rejects {calls.count} of {calls.total} unseen good pictures without a defect "
        f"({calls.count / calls.total:.1%}; with 95 % confidence between {calls.low:.1%} and {calls.high:.1%})"
    )
