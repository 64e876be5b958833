"""tolerance.json: how much light, focus and position may change before good parts are rejected.

Written by `fastflow tolerance`.
"""

from typing import Annotated

from pydantic import Field, FiniteFloat

from pipelines.qualification.kept import Count, Fraction, Kept, OfModel


class Tried(Kept, frozen=True):
    """Good pictures that are rejected after a change by `amount`, and the exact 95 % limits of that rate. `outside`:
    more than the limit allows."""

    amount: FiniteFloat
    count: Count
    total: Annotated[int, Field(ge=1)]
    low: Fraction
    high: Fraction
    outside: bool


class Tolerated(Kept, frozen=True):
    """Of one change: `steps` up to the first that is outside. `allowed`: the amount before that, None where the first
    step is outside; `first_outside`: None where none is, so that more may be allowed than was tried."""

    kind: str
    name: str
    unit: str
    allowed: FiniteFloat | None
    first_outside: FiniteFloat | None
    steps: Annotated[list[Tried], Field(min_length=1)]


class Tolerance(OfModel, frozen=True):
    """`limit`: of the false-reject rate; `images`: sha256 over those of the good pictures; `grey`: all are, so that the
    colour of the light says nothing."""

    limit: Fraction
    images: str
    height: Count
    width: Count
    grey: bool
    unchanged: Tried
    changes: list[Tolerated]
