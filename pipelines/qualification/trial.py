"""The trial: defects of each kind, contrast and size drawn on good photographs, and judged by the model.

Each drawing has a random generator of its own, so that none depends on the order of work.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import read_image
from fastflow.detector import Detector, require_finite_scores
from fastflow.frame import Framed, Size, at_once, framed
from fastflow.maps import picture_map, resize_map
from pipelines.core.progress import progress
from pipelines.qualification.defects import KINDS
from pipelines.qualification.placing import Mask, Pixels, drawn, part_of, place, within
from pipelines.reporting.cutting import Box, window

BATCH_SIZE = 8
CONTRASTS = (0.5, 0.25, 0.1)  # of the range from black to white
NEAR = 1 / 16  # of the frame's longer side: how far beside the defect the map's highest place still counts as there


class Curve(NamedTuple):
    """A kind and a contrast, of one curve."""

    kind: str
    contrast: float


class Drawing(NamedTuple):
    """One defect: of which curve and step, on which picture; `number` within its curve."""

    curve: int
    step: int
    image: int
    number: int


class Example(NamedTuple):
    """A defect as it was drawn, and the map there: pixels (H, W, 3) and anomaly_map (H, W) around it."""

    pixels: Pixels
    anomaly_map: NDArray[np.float32]


class Verdict(NamedTuple):
    """Whether a drawing was rejected, and whether the map's highest place is on it."""

    found: bool
    located: bool


class Rendered(NamedTuple):
    """A picture with its defect in a box, in the model's frame; of an example also the `view` around the defect, as the
    camera would give it, else None."""

    framed: Framed
    box: Box
    view: Pixels | None


CURVES = [Curve(kind, contrast) for kind in KINDS for contrast in CONTRASTS]


def planned(num_steps: int, per_step: int, num_images: int, *, seed: int) -> list[Drawing]:
    """All drawings, by picture. Within a curve the pictures take turns, each before any comes again."""
    found = []
    for curve in range(len(CURVES)):
        rng, count = np.random.default_rng([seed, curve]), num_steps * per_step
        turns = -(-count // num_images)
        images = np.concatenate([rng.permutation(num_images) for _ in range(turns)])[:count]
        found += [Drawing(curve, number % num_steps, int(image), number) for number, image in enumerate(images)]
    return sorted(found, key=lambda one: (one.image, one.curve, one.number))


class Trial:
    """Pictures of good parts, and a model that judges what is drawn on them. `anywhere`: defects lie beside the part,
    too."""

    def __init__(self, detector: Detector, paths: Sequence[Path], *, seed: int, anywhere: bool) -> None:
        self.detector, self._paths, self._seed, self._anywhere = detector, paths, seed, anywhere
        self.part_shares: dict[int, float] = {}
        self._photograph = lru_cache(maxsize=2)(self._read)

    def judge(
        self, drawings: Sequence[Drawing], sizes: Sequence[float]
    ) -> tuple[dict[Drawing, Verdict], dict[Drawing, Example]]:
        """The verdict of each drawing; an example of each curve and step.

        Raises:
            BadImage: a picture cannot be read. NotFinite: a score is no number.
        """
        verdicts: dict[Drawing, Verdict] = {}
        roi, low = self.detector.frame.roi, float(self.detector.threshold["low"])
        examples: dict[Drawing, Example] = {}
        with progress("defects drawn and judged", len(drawings), unit="image") as advance:
            for batch, images in self._rendered(drawings, sizes):
                pixels = np.stack([one.framed.pixels.transpose(2, 0, 1) for one in images])
                scores = self.detector.predict(pixels, np.array([one.framed.size for one in images]))
                require_finite_scores([self._paths[one.image] for one in batch], scores.pred_score)
                for number, (drawing, image) in enumerate(zip(batch, images, strict=True)):
                    anomaly_map = picture_map(scores.anomaly_map[number, 0], image.framed.size, roi, low=low)
                    located = is_near(anomaly_map, image.box, image.framed.shape)
                    verdicts[drawing] = Verdict(bool(scores.pred_label[number]), located)
                    if image.view is not None:
                        around = window(image.box, image.framed.shape, sizes[drawing.step])
                        whole = resize_map(anomaly_map, image.framed.shape)
                        examples[drawing] = Example(image.view, whole[around].copy())
                advance(len(batch))
        return verdicts, examples

    def _rendered(
        self, drawings: Sequence[Drawing], sizes: Sequence[float]
    ) -> Iterator[tuple[Sequence[Drawing], list[Rendered]]]:
        """Batches in order; one is drawn by threads while that before is judged."""
        size = at_once(self.detector.frame, BATCH_SIZE)
        batches = [drawings[start : start + size] for start in range(0, len(drawings), size)]
        with ThreadPoolExecutor() as pool:
            waiting: list[Future[Rendered]] = []
            for number in range(len(batches) + 1):
                ahead = batches[number] if number < len(batches) else []
                photographs = {one.image: self._photograph(one.image) for one in ahead}
                coming = [pool.submit(self._draw, one, *photographs[one.image], sizes[one.step]) for one in ahead]
                if waiting:
                    yield batches[number - 1], [one.result() for one in waiting]
                waiting = coming

    def _read(self, image: int) -> tuple[Pixels, Mask]:
        pixels = read_image(self._paths[image], rule=self.detector.frame.rule)
        part = part_of(pixels) if not self._anywhere else np.ones((1, 1), bool)
        if roi := self.detector.frame.roi:
            part = within(part, roi)
        self.part_shares[image] = float(part.mean())
        return pixels, part

    def _draw(self, drawing: Drawing, pixels: Pixels, part: Mask, size: float) -> Rendered:
        rng, curve = np.random.default_rng([self._seed, drawing.curve, drawing.number, 1]), CURVES[drawing.curve]
        shape = KINDS[curve.kind](size, rng)
        box = place(shape, part, pixels.shape[:2], rng)
        with_defect = drawn(pixels, shape, box, contrast=curve.contrast, rng=rng)
        is_example = drawing.number == drawing.step  # the first of each size
        view = with_defect[window(box, pixels.shape[:2], size)].copy() if is_example else None
        return Rendered(framed(Image.fromarray(with_defect), self.detector.frame), box, view)


def is_near(anomaly_map: NDArray[np.float32], box: Box, shape: Size) -> bool:
    """Whether the highest place of a map (h, w) is in a box of its picture of `shape` (height, width), or close by."""
    highest = np.unravel_index(int(np.argmax(anomaly_map)), anomaly_map.shape)
    margin = NEAR * max(anomaly_map.shape)
    ends = ((box.top, box.bottom), (box.left, box.right))
    for at, side, own, (start, end) in zip(highest, anomaly_map.shape, shape, ends, strict=True):
        if not start * side / own - margin <= at + 0.5 <= end * side / own + margin:
            return False
    return True
