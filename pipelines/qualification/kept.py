"""What the records of all checks of a model share: read strictly, never changed, finite numbers alone."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, FiniteFloat

Fraction = Annotated[FiniteFloat, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Pixels = Annotated[FiniteFloat, Field(gt=0)]


class Kept(BaseModel, strict=True, frozen=True, extra="forbid"):
    """A part of a record, or all of it."""


class OfModel(Kept, frozen=True):
    """A record of one model: `weights`, its `fastflow.sealed.weights_id`, names it; `threshold`: of the image score."""

    format: Literal[1] = 1
    category: str
    model: str
    weights: str
    threshold: FiniteFloat
    seed: int
