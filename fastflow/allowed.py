"""Allowed values of fields in files that are read back: declared once, beside the field, and checked at load."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

MAX_SIDE_PIXELS = 8192  # of a model's frame


LARGEST = sys.float_info.max


class Allowed(NamedTuple):
    """A description for messages, and a predicate for values. Nothing is converted: '3' is no number."""

    text: str
    holds: Callable[[Any], bool]


def is_finite(value: object) -> bool:
    """Whether it is a number that arithmetic can take: JSON may hold integers that no float can."""
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST  # type: ignore[operator]


def whole(low: int, high: int) -> Allowed:
    return Allowed(f"a whole number from {low} to {high}", lambda v: type(v) is int and low <= v <= high)


def number(low: float, high: float) -> Allowed:
    """Of both ends, too; NaN and infinities are none."""
    return Allowed(
        f"a number from {low:g} to {high:g}",
        lambda v: is_finite(v) and low <= v <= high,
    )


def above(low: float, high: float) -> Allowed:
    """As `number`, without the lower end."""
    within = number(low, high)
    return Allowed(f"a number above {low:g}, at most {high:g}", lambda v: within.holds(v) and v > low)


FINITE = Allowed("a finite number", is_finite)
TRUTH = Allowed("true or false", lambda v: type(v) is bool)
SHA256 = Allowed(
    "a sha256, 64 hexadecimal digits", lambda v: type(v) is str and len(v) == 64 and set(v) <= set("0123456789abcdef")
)


RANGE = Allowed(
    "a list of two finite numbers, the first below the second",
    lambda v: isinstance(v, list | tuple) and len(v) == 2 and all(map(FINITE.holds, v)) and v[0] < v[1],
)


def text(longest: int) -> Allowed:
    return Allowed(f"a text of 1 to {longest} characters", lambda v: type(v) is str and 0 < len(v) <= longest)


def one_of(values: Iterable[Any]) -> Allowed:
    known = tuple(values)
    return Allowed(f"one of {', '.join(map(str, known))}", lambda v: any(type(v) is type(k) and v == k for k in known))


def series(each: Allowed, low: int, high: int) -> Allowed:
    """A list, or tuple, of `low` to `high` such values."""
    count = f"{low}" if low == high else f"{low} to {high}"
    return Allowed(
        f"a list of {count}, each {each.text}",
        lambda v: isinstance(v, list | tuple) and low <= len(v) <= high and all(map(each.holds, v)),
    )


def or_null(one: Allowed) -> Allowed:
    return Allowed(f"{one.text}, or null", lambda v: v is None or one.holds(v))


def field(allowed: Allowed, default: Any = dataclasses.MISSING) -> Any:
    """A field of a dataclass that `check_fields` checks."""
    return dataclasses.field(default=default, metadata={"allowed": allowed})


def check_fields(owner: Any, *, where: str) -> None:
    """Raises ValueError at the first field of a dataclass that holds what its `field` does not allow."""
    for one in dataclasses.fields(owner):
        check(where, one.name, getattr(owner, one.name), one.metadata["allowed"])


def check(where: str, name: str, value: object, allowed: Allowed) -> None:
    """Raises ValueError that says where, the name, what was got and what is allowed."""
    if not allowed.holds(value):
        raise ValueError(f"{where}: {name} is {shown(value)}; allowed: {allowed.text}")


def check_keys(where: str, values: object, allowed: Mapping[str, Allowed]) -> dict[str, Any]:
    """A mapping with these keys; others are not checked. Raises ValueError."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} is {shown(values)}; allowed: a mapping with {', '.join(allowed)}")
    for name, one in allowed.items():
        if name not in values:
            raise ValueError(f"{where}: {name} is missing; allowed: {one.text}")
        check(where, name, values[name], one)
    return dict(values)


def shown(value: object) -> str:
    """A value in a message, its type beside it where it could be taken for another, cut where it is long."""
    said = repr(value)
    said = said if len(said) <= 80 else f"{said[:77]}..."
    return said if isinstance(value, int | float | None) else f"{said} ({type(value).__name__})"


THRESHOLD = {"image": FINITE, "pixel": FINITE, "low": FINITE}


def check_threshold(where: str, threshold: object) -> dict[str, Any]:
    """As `fastflow.operating.operating_point` has it. Raises ValueError where a number is absent, or any is not
    finite."""
    found = check_keys(f"{where}: threshold", threshold, THRESHOLD)
    for name, value in found.items():
        if type(value) in (int, float):
            check(f"{where}: threshold", name, value, FINITE)
    return found
