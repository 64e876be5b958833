"""A training's progress as lines of JSON: what the flow that started the stage shows, however the log is worded.

A stage prints them where LINES is set in its environment, and nowhere else: a person reads the log.
"""

import json
import os
from typing import NamedTuple

LINES = "FASTFLOW_EPOCH_LINES"
_MARK = "@epoch "


class EpochLine(NamedTuple):
    """`epoch` of `epochs`, from 1; `loss` in bits per dimension; `seconds_left` of the whole training."""

    epoch: int
    epochs: int
    loss: float
    seconds_left: float


def write_epoch(line: EpochLine) -> None:
    """Prints one, where LINES asks for it."""
    if os.environ.get(LINES):
        print(_MARK + json.dumps(line._asdict()), flush=True)


def read_epoch(text: str) -> EpochLine | None:
    """The epoch that a line of a stage's output reports; None for any other line of the log."""
    if not text.startswith(_MARK):
        return None
    try:
        found = EpochLine(**json.loads(text.removeprefix(_MARK)))
    except (ValueError, TypeError, RecursionError):  # a line that begins alike
        return None
    return found if all(type(value) in (int, float) for value in found) and found.epochs > 0 else None
