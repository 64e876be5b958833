"""How unlike other photographs one looks, in robust standard deviations: a black frame is odd, a scratch is not."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOOKS = ("brightness", "contrast", "sharpness")
ODD = 6.0  # robust standard deviations from which a photograph is called odd
LEAST = 20  # photographs that a usual look can be taken from
NORMAL_IQR_SD = 1.349  # interquartile range of a normal distribution, in standard deviations
FLOORS = {"brightness": (3.0, 0.0), "contrast": (0.0, 0.1), "sharpness": (0.0, 0.1)}
"""The least standard deviation, as grey levels and as a share of the median: a steady lamp makes no defect odd."""


class Usual(NamedTuple):
    """The usual look: medians and standard deviations, in the order of `LOOKS`."""

    medians: NDArray[np.float64]
    deviations: NDArray[np.float64]


def usual_look(looks: ArrayLike) -> Usual | None:
    """Of photographs' LOOKS (N, 3), those that were accepted; None where they are too few to tell."""
    found = np.asarray(looks, np.float64).reshape(-1, len(LOOKS))
    if len(found) < LEAST:
        return None
    low, medians, high = np.quantile(found, (0.25, 0.5, 0.75), axis=0)
    least = [levels + share * abs(median) for (levels, share), median in zip(FLOORS.values(), medians, strict=True)]
    return Usual(medians, np.maximum((high - low) / NORMAL_IQR_SD, np.maximum(least, 1e-9)))


def deviations(looks: ArrayLike, usual: Usual) -> NDArray[np.float64]:
    """How far each of LOOKS (N, 3) is from the usual one, in standard deviations, with its sign."""
    found = np.asarray(looks, np.float64).reshape(-1, len(LOOKS))
    return np.asarray((found - usual.medians) / usual.deviations)


def oddness(looks: ArrayLike, usual: Usual | None) -> NDArray[np.float64]:
    """The farthest of each photograph's three deviations (N,); 0 where nothing is known of the usual look."""
    if usual is None:
        return np.zeros(np.asarray(looks, np.float64).size // len(LOOKS))
    return np.asarray(np.abs(deviations(looks, usual)).max(axis=1))
