"""A tolerance in words, for who sets up camera and lamp."""

from collections.abc import Sequence

from pipelines.qualification.tolerance_file import Tolerance, Tolerated, Tried
from pipelines.training.changes import KINDS

TITLES = {
    "brightness": "Brightness", "contrast": "Contrast", "colour": "Colour of the light", "focus": "Focus",
    "noise": "Noise", "jpeg": "JPEG", "position": "Position", "rotation": "Rotation",
}  # fmt: skip


def amount(value: float, unit: str) -> str:
    """Such as: 20 %, 1.6 px, 3°."""
    space = "" if unit in ("", "°") else "\u00a0"
    return f"{value:.3g}{space}{unit}" if value < 1000 else f"{value:.0f}{space}{unit}"


def allowed(one: Tolerated) -> str:
    """How far a change may go, such as: 20 % darker."""
    ways = {"jpeg": "quality {}", "position": "{} in any direction", "rotation": "{} either way", "noise": "{}"}
    form = ways.get(one.kind, "{} " + one.name if one.kind != "focus" else "{} of blur")
    if one.allowed is None:
        assert one.first_outside is not None
        return f"less than {form.format(amount(one.first_outside, one.unit))}" if one.kind != "jpeg" else "no loss"
    text = form.format(amount(one.allowed, one.unit))
    return text if one.first_outside is not None else f"{text} (the largest change tried)"


def row(changes: Sequence[Tolerated]) -> str:
    """What is allowed of a kind, one way and the other."""
    return " to ".join(allowed(one) for one in changes)


def rejected(step: Tried) -> str:
    return f"{step.count} of {step.total} rejected (95\u00a0%: {100 * step.low:.1f} to {100 * step.high:.1f}\u00a0%)"


def sentence(one: Tolerated) -> str:
    """What was found of one change."""
    if one.first_outside is None:
        return f"{one.name}: up to {allowed(one)}; {rejected(one.steps[-1])}"
    return f"{one.name}: {allowed(one)}; at {amount(one.first_outside, one.unit)}, {rejected(one.steps[-1])}"


def by_kind(result: Tolerance) -> dict[str, list[Tolerated]]:
    """The changes of each kind, in order."""
    return {kind: own for kind in KINDS if (own := [one for one in result.changes if one.kind == kind])}


def headline(result: Tolerance) -> str:
    """The most sensitive first: what is not allowed at all, or that all is."""
    none = [one.name for one in result.changes if one.allowed is None]
    if none:
        return f"Hardly any room: {', '.join(none)}. The first step of each already rejects good parts"
    if all(one.first_outside is None for one in result.changes):
        return "All changes that were tried are tolerated"
    unchanged = result.unchanged
    if unchanged.count > result.limit * unchanged.total:
        return (
            f"Unchanged, {unchanged.count} of {unchanged.total} good parts are rejected already, more than the limit; "
            "up to the amounts below it does not get worse for certain"
        )
    return "The camera may change by the amounts below before too many good parts are rejected"


def limit(result: Tolerance) -> str:
    """How the limit is meant."""
    unchanged = result.unchanged
    return (
        f"A change is too much where more than {100 * result.limit:.3g}\u00a0% of good parts are rejected for certain: "
        f"where the exact 95\u00a0% limits of the rate lie above that. As they are, {unchanged.count} of "
        f"{unchanged.total} are rejected, so that the true rate may be up to {100 * unchanged.high:.1f}\u00a0%"
    )
