"""Why the cases of a report have their scores: which scale and which term, where, and the same place of the good
training picture that is most like it. Nothing is chosen here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastflow.decode import read_image
from fastflow.explain import Explanation, explain_all
from fastflow.index import read_index, verify_images
from fastflow.trained import TrainedDetector
from pipelines.core.paths import index_file
from pipelines.reporting.cutting import Box, Window, same, window
from pipelines.reporting.explain_words import by_term, made_by, where
from pipelines.reporting.pictures import Why

LEAST_UNSEEN = 10  # good pictures that the model has not seen; of fewer, the training's say what is usual
MOST_COMPARED = 500  # good pictures of each kind, evenly drawn: an evaluation does not grow with them


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
    """Of each image, all looked at together. None is compared with itself.

    Raises:
        ValueError, BadImage, NotFinite: as `fastflow.explain.explain`.
    """
    good, normal = spread(compared.good), spread(compared.normal)
    return [in_words(found, detector) for found in explain_all(detector, images, good=good, normal=normal)]


def spread(paths: Sequence[Path]) -> list[Path]:
    """All of them, or MOST_COMPARED, evenly drawn."""
    drawn = np.linspace(0, len(paths) - 1, min(MOST_COMPARED, len(paths))).round().astype(int)
    return [paths[number] for number in drawn]


def good_pictures(category: str, split: str, root: Path, *, without: str = "") -> list[Path]:
    """Of the category's folder `root`, but for those of the sha256 `without`. Raises BadData where they are not those
    that were checked."""
    index = read_index(index_file(category), split=split)
    good = index[(index["gt_label"] == 0) & (index["sha256"] != without)].reset_index(drop=True)
    verify_images(good, root)
    return [root / path for path in good["image_path"]]


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
