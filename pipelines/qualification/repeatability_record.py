"""repeatability.json: how alike the scores and verdicts of the same parts are, shot by shot.

Written by `fastflow repeatability`. Standard deviations are in units of the score, shares are fractions.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from fastflow.files import write_text
from pipelines.core.paths import REPEATABILITY, report_folder
from pipelines.qualification.kept import Count, Fraction, Kept, OfModel

Spread = Annotated[FiniteFloat, Field(ge=0)]
Kappa = Annotated[FiniteFloat, Field(ge=-1, le=1)] | None
"""None where all verdicts are alike."""


class Cell(Kept, frozen=True):
    """Shots of a part by an operator (empty where the folder names none), and their scores, by name."""

    part: str
    operator: str
    shots: list[str]
    scores: list[FiniteFloat]
    labels: list[Literal[0, 1]]


class Source(Kept, frozen=True):
    """A line of the analysis of variance."""

    name: str
    degrees: Count
    mean_square: Spread


class Spreads(Kept, frozen=True):
    """Standard deviations of the score; `gauge` is repeatability and reproducibility together."""

    repeatability: Spread
    reproducibility: Spread | None
    gauge: Spread
    parts: Spread
    total: Spread
    accepted: Spread | None
    rejected: Spread | None


class Share(Kept, frozen=True):
    """%GRR as a fraction, and its two-sided 95 % limits."""

    value: Fraction
    low: Fraction
    high: Fraction


class Agreement(Kept, frozen=True):
    """On how many parts all verdicts `of` someone are the same, with exact 95 % limits of that share, and kappa."""

    of: str
    same: Count
    total: Count
    low: Fraction
    high: Fraction
    kappa: Kappa


class Repeatability(OfModel, frozen=True):
    """`pooled`: the interaction of parts and operators was taken for chance, as its `p_value` is high. `doubtful`:
    between these scores a single verdict is not sure. `within`: of each operator, or of all shots; `between`: of each
    two operators, shot by shot. `left_out`: shots that a study of equal numbers has no place for."""

    operators: list[str]
    cells: Annotated[list[Cell], Field(min_length=2)]
    left_out: list[str]
    sources: list[Source]
    p_value: Fraction | None
    pooled: bool
    spreads: Spreads
    share: Share
    distinct_categories: Annotated[int, Field(ge=1)] | None
    doubtful: tuple[FiniteFloat, FiniteFloat]
    near: list[str]
    flipped: list[str]
    together: Agreement
    within: list[Agreement]
    between: list[Agreement]

    @property
    def parts(self) -> list[str]:
        return list(dict.fromkeys(cell.part for cell in self.cells))


def repeatability_file(category: str) -> Path:
    """The figures; the page lies beside them."""
    return report_folder(category) / REPEATABILITY[0]


def write_record(record: Repeatability) -> Path:
    path = repeatability_file(record.category)
    write_text(path, record.model_dump_json(indent=2) + "\n")
    return path
