"""Rates as people write them."""

import math


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
