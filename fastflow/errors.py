"""Errors that a user can correct. Each message says where, what was got, what is allowed, what to do."""

from collections.abc import Sequence


class BadData(ValueError):
    """Images, masks or folders that cannot be used."""


class BadImage(BadData):
    """A file that cannot be used as an image; the message names it and says why, and behind `; ` what to do."""


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite: the training is over, its model worthless. `rows`: the images it came from."""

    def __init__(self, message: str, *, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = list(rows)
