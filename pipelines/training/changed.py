"""Good images as they may come from tomorrow's camera: features of copies whose light, focus or place has changed.

Each copy has another draw of every change that the parameters name, up to the amount that they name, all in the
photograph's own pixels and before a region of interest is cut out.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from fastflow.decode import read_image
from fastflow.features import FeatureStorage, extract_features
from fastflow.frame import Frame, Framed, framed, picture_shape
from fastflow.model import FastFlow
from pipelines.core.params import PARAMS_FILE
from pipelines.training.changes import CHANGES, Pixels, changed, in_units, is_grey

COPIES = 4  # of each image
BEST_JPEG_QUALITY = 100.0


def changed_features(
    model: FastFlow,
    images: Sequence[Path],
    limits: dict[str, float],
    *,
    seed: int,
    batch_size: int,
    storage: FeatureStorage,
) -> dict[int, list[Tensor]]:
    """For `fastflow.augment.drawn_variants`: features of `COPIES` copies of each image, by scale.

    `limits`: by kind of change (`pipelines.training.changes.KINDS`) the largest amount, in the unit of its changes; the
    lowest quality of JPEG.

    Raises:
        ValueError: an amount that the images are too small for.
        BadImage: a file that cannot be decoded.
    """
    if any(change.unit == "px" and change.kind in limits for change in CHANGES):
        check_limits(limits, shorter=min(min(picture_shape(path, model.frame.rule)) for path in images))
    number_of = {path: number for number, path in enumerate(images)}

    def read(path: Path, frame: Frame, *, copy: int) -> Framed:
        pixels = altered(
            read_image(path, rule=frame.rule), limits, np.random.default_rng([seed, copy, number_of[path]])
        )
        return framed(Image.fromarray(pixels), frame, name=path)

    device, copies = model.mean.device, list[list[Tensor]]()
    for copy in range(COPIES):
        reading = partial(read, copy=copy)
        copies.append(
            extract_features(model, images, batch_size=batch_size, device=device, storage=storage, read=reading)
        )
    return {scale: list(of_copies) for scale, of_copies in enumerate(zip(*copies, strict=True))}


def check_limits(limits: dict[str, float], *, shorter: int) -> None:
    """Raises ValueError where an amount in pixels is beyond the largest step of its change for pictures whose shorter
    side has so many."""
    for change in CHANGES:
        most = in_units(change, change.steps[-1], shorter)
        if change.unit == "px" and change.kind in limits and limits[change.kind] > most:
            raise ValueError(
                f"{PARAMS_FILE}, train.changes.{change.kind}: {limits[change.kind]:g} px; allowed: at most {most:g} px "
                f"of photographs whose shorter side has {shorter} px"
            )


def altered(pixels: Pixels, limits: dict[str, float], rng: np.random.Generator) -> Pixels:
    """A picture (H, W, 3) after a draw of each change in `limits`, either way and by any amount up to the limit. Colour
    of the light is left out where the picture is grey: its camera has none."""
    grey = is_grey(pixels)
    for kind, limit in limits.items():
        ways = [change for change in CHANGES if change.kind == kind]
        way, part = ways[rng.integers(len(ways))], rng.uniform()
        if kind == "colour" and grey:
            continue
        amount = BEST_JPEG_QUALITY - part * (BEST_JPEG_QUALITY - limit) if kind == "jpeg" else part * limit
        pixels = changed(pixels, way, amount, rng)
    return pixels
