"""Which pictures of a line a person should look at: rejects, passes near the threshold, and passes drawn by chance.

A week of UTC is one draw. Of each kind so many pictures with the lowest keys are kept, while they come: an ordinal of
chance, that of the picture's content, so that the draw is uniform without replacement, the same at every repetition,
and known to nobody who sees only the parts; or, for those near the threshold, how far below it they lie.
"""

import hashlib
import math
from datetime import UTC, datetime
from typing import NamedTuple

REJECT, BORDERLINE, PASS = "reject", "borderline", "pass"
KINDS = (REJECT, BORDERLINE, PASS)
CONFIDENCE = 0.95
SEED = 0


class Rule(NamedTuple):
    """`miss_rate`: without a defect among a week's sample of passes, at most this share of all its passes is defective,
    with 95 % confidence. `rejects`, `borderline`: at most so many a week. `weeks`: how long pictures that nobody has
    decided on are kept; `gigabytes`: of all pictures."""

    miss_rate: float = 0.01
    rejects: int = 1000
    borderline: int = 100
    weeks: int = 4
    gigabytes: float = 5.0


class Place(NamedTuple):
    """A picture's place in the draw of a kind: it stays while fewer than `most` of its week have a lower `key`."""

    kind: str
    key: float
    most: int


def sample_size(miss_rate: float, *, confidence: float = CONFIDENCE) -> int:
    """So many parts without a defect show that the rate of defects is at most `miss_rate` (0..1): the smallest n with
    (1 - miss_rate)^n <= 1 - confidence. 299 for 0.01."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-miss_rate))


def ordinal(sha256: str, *, seed: int = SEED) -> float:
    """Uniform in 0..1, fixed by the content and the seed."""
    digest = hashlib.sha256(f"review {seed} {sha256}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def places(rule: Rule, *, sha256: str, pred_label: int, pred_score: float, threshold: float) -> list[Place]:
    """Where a picture with this verdict may have a place."""
    chance = ordinal(sha256)
    if pred_label:
        return [Place(REJECT, chance, rule.rejects)]
    return [
        Place(PASS, chance, sample_size(rule.miss_rate)),
        Place(BORDERLINE, threshold - pred_score, rule.borderline),
    ]


def period_of(seconds: float) -> str:
    """The ISO week of a time since 1970, such as 2026-W49."""
    year, week, _ = datetime.fromtimestamp(seconds, UTC).isocalendar()
    return f"{year}-W{week:02}"
