"""Lengths of time as people write them: 30d, 12h."""

import re

SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(text: str) -> int:
    """ "30d" to 2592000. Raises ValueError."""
    found = re.fullmatch(r"([1-9]\d{0,4})([mhdw])", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no length of time; allowed: a number and m, h, d or w, as 12h, 30d or 8w")
    return int(found[1]) * SECONDS[found[2]]
