"""learning.json: false rejects over the number of good photographs that a model is trained on.

Written by `fastflow learning`; the points, while it runs, in .state/, from which the same command goes on.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, ValidationError

from fastflow.files import write_text
from pipelines.core.paths import STATE
from pipelines.core.stage import log
from pipelines.qualification.kept import Count, Fraction, Kept, Pixels


class Point(Kept, frozen=True):
    """One training: on how many `images`, drawn by `seed`; the numbers of the unseen good pictures that it rejects, of
    `total`. `a90_95` of `fastflow certify`, None where it was not asked for, or not reached (`certified`)."""

    images: Count
    seed: int
    rejected: list[Count]
    total: Annotated[int, Field(ge=1)]
    certified: bool = False
    a90_95: Pixels | None = None


class Limits(Kept, frozen=True):
    value: Fraction
    low: Fraction
    high: Fraction


class Learning(Kept, frozen=True):
    """`more`: photographs beside those there are, `now` and `then` the false-reject rates without and with them, `drop`
    their difference, each with 95 % limits; the law is floor + scale * images ** -power."""

    format: Literal[1] = 1
    category: str
    key: str
    target: Fraction
    points: Annotated[list[Point], Field(min_length=1)]
    more: Count
    outcome: Literal["enough", "helps", "no_help", "unknown"]
    now: Limits
    then: Limits
    drop: Limits
    floor: FiniteFloat
    scale: FiniteFloat
    power: FiniteFloat


class _Begun(Kept, frozen=True):
    key: str
    points: list[Point]


def begun_file(category: str) -> Path:
    return STATE / f"learning-{category}.json"


def read_begun(category: str, key: str) -> list[Point]:
    """Points of an interrupted curve of the same key; none where there is none."""
    path = begun_file(category)
    if not path.is_file():
        return []
    try:
        begun = _Begun.model_validate_json(path.read_bytes())
    except ValidationError:
        log.warning("%s is damaged; starting again", path)
        return []
    if begun.key != key:
        log.info("%s is of other images, parameters or code; starting again", path)
        return []
    return begun.points


def write_begun(category: str, key: str, points: list[Point]) -> None:
    write_text(begun_file(category), _Begun(key=key, points=points).model_dump_json() + "\n")
