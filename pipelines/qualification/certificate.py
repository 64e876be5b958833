"""certificate.json: which drawn defects a model finds, and from which size on.

Written by `fastflow certify`, read by whatever decides on a model.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, ValidationError

from fastflow.errors import BadData
from fastflow.files import write_text
from pipelines.core.paths import certificate_file
from pipelines.core.stored import sentence
from pipelines.qualification.kept import Count, Fraction, Kept, OfModel, Pixels

Outcome = Literal["reached", "not_shown", "contradicted"]


class Step(Kept, frozen=True):
    """Defects of one size, largest extent in pixels: `found` by the verdict, of these `located` where the map's highest
    place lies on the defect or right beside it."""

    size: Pixels
    drawn: Count
    found: Count
    located: Count


class DetectionCurve(Kept, frozen=True):
    """Of one kind and contrast. logit(probability) = intercept + slope * ln(size). `a90_95` is None where it was not
    reached: then `outcome` says why. `lower` and `upper`: limits of the probability at `sizes`, each one-sided 95 %."""

    kind: str
    contrast: Fraction
    outcome: Outcome
    a90_95: Pixels | None
    a90: Pixels | None
    intercept: FiniteFloat
    slope: Annotated[FiniteFloat, Field(ge=0)]
    steps: Annotated[list[Step], Field(min_length=2)]
    sizes: list[Pixels]
    lower: list[Fraction]
    upper: list[Fraction]


class FalseCalls(Kept, frozen=True):
    """Good pictures that are rejected without a defect, and the exact 95 % limits of that rate."""

    count: Count
    total: Annotated[int, Field(ge=1)]
    low: Fraction
    high: Fraction


class Certificate(OfModel, frozen=True):
    """`images`: sha256 over those of the good pictures; `part_share`: of the picture that defects were placed in, on
    average."""

    images: str
    height: Count
    width: Count
    part_share: Fraction
    per_step: Count
    mm_per_pixel: Pixels | None
    false_calls: FalseCalls
    curves: Annotated[list[DetectionCurve], Field(min_length=1)]


def write_certificate(certificate: Certificate) -> Path:
    path = certificate_file(certificate.category)
    write_text(path, certificate.model_dump_json(indent=2) + "\n")
    return path


def read_certificate(category: str) -> Certificate | None:
    """The category's certificate; None where there is none. Whose it is, its `weights` say.

    Raises:
        BadData: it is damaged.
    """
    path = certificate_file(category)
    return certificate_in(path.read_bytes(), path, category) if path.is_file() else None


def certificate_in(content: bytes, name: object, category: str) -> Certificate:
    """The certificate of a category in a file's content; messages call it `name`. Raises BadData where it is none."""
    try:
        return Certificate.model_validate_json(content)
    except ValidationError as error:
        raise BadData(f"{name} is damaged: {sentence(error)}; run: fastflow certify {category}") from error
