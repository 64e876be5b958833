"""Cells of score files and their like: which types and bounds they have, and how they are read."""

import math
from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

from fastflow.allowed import one_of, whole
from fastflow.decode import MAX_PIXELS
from pipelines.core.spreadsheet import unmarked

BOUNDS = {"pred_label": one_of((0, 1)), "width": whole(1, MAX_PIXELS), "height": whole(1, MAX_PIXELS)}


class Cell(NamedTuple):
    """The type of a cell, and whether it may be empty."""

    kind: type[Any]
    optional: bool


@cache
def cells_of(row: type[Any]) -> dict[str, Cell]:
    """Those of a row, a named tuple, by its fields' types."""
    return {name: Cell((*get_args(one), one)[0], bool(get_args(one))) for name, one in get_type_hints(row).items()}


def of_text(text: str, kind: type[Any]) -> Any:
    """A CSV's cell, converted. Raises ValueError where it is none of that kind, or no finite number."""
    if kind is not str and (not text.isascii() or "_" in text):  # which Python takes for digits, and nobody writes
        raise ValueError("no number")
    return unmarked(text) if kind is str else _finite(kind(text))


def of_json(value: Any, kind: type[Any]) -> Any:
    """A value of JSON, which is not converted, but for whole numbers in the place of floats. Raises ValueError."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError("of another type")
    return _finite(float(value)) if kind is float else value


def contradicts(score: float, threshold: float, label: int) -> bool:
    """Whether a verdict is not that of its score; one at the threshold, but for rounding, may have either."""
    at_it = math.isclose(score, threshold, rel_tol=1e-6, abs_tol=1e-9)
    return not at_it and label != int(not score <= threshold)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    return value
