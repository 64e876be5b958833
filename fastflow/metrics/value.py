"""The result of a metric: a number, or the reason why there is none."""

from typing import NamedTuple


class Value(NamedTuple):
    """A metric in 0..1. `value` is None where the metric is undefined, and only then `reason` says why."""

    value: float | None
    reason: str = ""


def undefined(reason: str) -> Value:
    """A metric that the given data does not define."""
    assert reason
    return Value(None, reason)
