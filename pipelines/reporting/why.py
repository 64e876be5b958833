"""Why the cases of a report have their scores: which scale and which term, where, and the same place of the good
training picture that is most like it. Nothing is chosen here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastflow.decode import read_image
from fastflow.explain import Explanation, explain_all
from fastflow.trained import TrainedDetector
from pipelines.reporting.cutting import Box, Window, same, window
from pipelines.reporting.explain_words import by_term, made_by, where
from pipelines.reporting.pictures import Why

LEAST_UNSEEN = 10  # good pictures that the model has not seen; of fewer, the training's say what is usual
MOST_COMPARED = 500  # training pictures: the most similar one is looked for among so many, evenly drawn


class Compared(NamedTuple):
    """Good pictures: those among which the most similar one is looked for, and those that say what is usual, which the
    model has seen or not."""

    good: list[Path]
    normal: list[Path]
    unseen: bool

    @classmethod
    def of(cls, train: Sequence[Path], test: Sequence[Path]) -> "Compared":
        """From good pictures of the training, and of the test."""
        unseen = len(test) >= LEAST_UNSEEN
        return cls(list(train), list(test if unseen else train), unseen)


def why(detector: TrainedDetector, images: Sequence[Path], compared: Compared) -> list[Why]:
    """Of each image, all looked at together; of a model that looks at tiles, nothing. None is compared with itself.

    Raises:
        BadImage, NotFinite: as `fastflow.explain.explain`.
    """
    if detector.model.config.tiles is not None:
        return []
    drawn = np.linspace(0, len(compared.good) - 1, min(MOST_COMPARED, len(compared.good))).round().astype(int)
    good = [compared.good[number] for number in drawn]
    return [in_words(found, detector) for found in explain_all(detector, images, good=good, normal=compared.normal)]


def in_words(found: Explanation, detector: TrainedDetector) -> Why:
    pixels, similar = (read_image(Path(path), rule=detector.frame.rule) for path in (found.image_path, found.nearest))
    seen = around(found)
    likewise = same(seen, found.shape, (similar.shape[0], similar.shape[1]))
    said = [where(found), made_by(found), by_term(found)]
    return Why(said, pixels[seen], similar[likewise], found.nearest)


def around(found: Explanation) -> Window:
    """The place that decided, with what surrounds it."""
    place = found.place
    box = Box(place.y, place.x, place.y + place.height, place.x + place.width)
    return window(box, found.shape, max(place.width, place.height))
