"""The trial of a tolerance: good photographs, changed in steps and judged by the model.

Each picture has a random generator of its own for each change, so that nothing depends on the order of work.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import read_image
from fastflow.detector import Detector, require_finite_scores
from fastflow.errors import BadData
from fastflow.features import batches
from fastflow.frame import at_once, framed, picture_shape
from fastflow.metrics.rates import rate_interval
from pipelines.core.progress import progress
from pipelines.qualification.tolerance_file import Tolerated, Tried
from pipelines.training.changes import CHANGES, Change, Pixels, changed, in_units, is_grey

BATCH_SIZE = 8
Alter = Callable[[int, Pixels], Pixels]


class Trial:
    """Pictures, and a model that judges them after each change."""

    def __init__(self, detector: Detector, paths: Sequence[Path], *, seed: int, limit: float) -> None:
        self.detector, self.paths, self.seed, self.limit = detector, paths, seed, limit
        self.shape = picture_shape(paths[0], detector.frame.rule)
        self.grey = all(is_grey(self.read(number)) for number in range(len(paths)))

    def read(self, image: int) -> Pixels:
        return read_image(self.paths[image], rule=self.detector.frame.rule)

    def unchanged(self, category: str) -> Tried:
        """Raises BadData where the limit does not hold without a change."""
        found = self.tried(0.0, self.judge(lambda _, pixels: pixels))
        if found.outside:
            raise BadData(
                f"{category}: the model rejects {found.count} of {found.total} unseen good pictures as they are, more "
                f"than the limit of {self.limit:.2%}, so that no change can be told from none; take another threshold "
                f"(fastflow threshold), or another limit, such as --limit {100 * min(0.9, found.high):.0f}%"
            )
        return found

    def run(self) -> list[Tolerated]:
        chosen = [change for change in CHANGES if not (self.grey and change.kind == "colour")]
        total = sum(len(change.steps) for change in chosen)
        with progress("changes judged", total, unit="step") as advance:
            done = []
            for change in chosen:
                done.append(self.one(change))
                advance(len(change.steps))
        return done

    def one(self, change: Change) -> Tolerated:
        """Steps up to the first that is outside."""
        steps = list[Tried]()
        for step in change.steps:
            amount = in_units(change, step, min(self.shape))
            steps.append(self.tried(amount, self.judge(partial(self.altered, change, step))))
            if steps[-1].outside:
                break
        inside = [one.amount for one in steps if not one.outside]
        return Tolerated(
            kind=change.kind,
            name=change.name,
            unit=change.unit,
            allowed=inside[-1] if inside else None,
            first_outside=steps[-1].amount if steps[-1].outside else None,
            steps=steps,
        )

    def altered(self, change: Change, step: float, number: int, pixels: Pixels) -> Pixels:
        """Of one picture, at all steps by the same chance."""
        rng = np.random.default_rng([self.seed, CHANGES.index(change), number])
        return changed(pixels, change, in_units(change, step, min(pixels.shape[:2])), rng)

    def tried(self, amount: float, labels: NDArray[np.bool_]) -> Tried:
        count, total = int(labels.sum()), len(labels)
        low, high = rate_interval(count, total)
        return Tried(amount=amount, count=count, total=total, low=low, high=high, outside=not low <= self.limit)

    def judge(self, alter: Alter) -> NDArray[np.bool_]:
        """Which pictures are rejected, each altered. Raises BadImage, NotFinite."""
        labels = []

        def made(number: int) -> Image.Image:
            return Image.fromarray(alter(number, self.read(number)))

        with ThreadPoolExecutor() as pool:
            for part in batches(len(self.paths), at_once(self.detector.frame, BATCH_SIZE)):
                frames = [framed(one, self.detector.frame) for one in pool.map(made, range(part.start, part.stop))]
                pixels = np.stack([one.pixels.transpose(2, 0, 1) for one in frames])
                scores = self.detector.predict(pixels, np.array([one.size for one in frames]))
                require_finite_scores(self.paths[part], scores.pred_score)
                labels.append(scores.pred_label == 1)
        return np.concatenate(labels)
