"""Errors that a person caused and can cure. Each message says where, what was got, what is allowed, what to do."""


class BadData(ValueError):
    """Images, masks or folders that cannot be used."""


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite: the training is over, its model worthless."""
