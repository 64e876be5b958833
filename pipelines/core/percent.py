"""Rates as people write them, and the command that chooses a threshold by one."""

import math
from collections.abc import Mapping

MAX_DIGITS = 8


def rate_of(text: str | None) -> float | None:
    """ "2%" or "0.02" to 0.02. Raises ValueError."""
    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise ValueError(f"{text!r} is no rate; allowed: more than 0 and less than 100 %, as 2% or 0.02")
    return value


def apart(*values: float, form: str, digits: int) -> list[str]:
    """Numbers as texts with so many digits, or more where different ones would else read alike: no figure that is above
    a limit reads as the limit. `form` is a format with a place for the digits, as `.{}%`."""
    texts = [format(value, form.format(digits)) for value in values]
    if digits < MAX_DIGITS and len(set(texts)) < len(set(values)):
        return apart(*values, form=form, digits=digits + 1)
    return texts


def choosing(category: str, tags: Mapping[str, str]) -> str:
    """The command that chooses a version's threshold, from that version's tags."""
    option = "--max-miss" if tags["threshold_method"] == "misses" else "--max-false-reject"
    return f"fastflow threshold {category} {option} {100 * float(tags['threshold_rate']):g}%"
