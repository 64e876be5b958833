"""Whether an exported model scores as the trained one does, image by image."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fastflow.detector import Images, Run, Sizes
from fastflow.errors import BadData

MIN_IMAGES = 20


class Tolerance(NamedTuple):
    """Allowed differences of an export: of a score, relative to it; of verdicts, as a fraction of the images."""

    relative: float
    flipped: float


TOLERANCES = {
    "fp32": Tolerance(relative=1e-4, flipped=0.0),
    "bf16": Tolerance(relative=3e-2, flipped=0.0),
    "int8": Tolerance(relative=3e-2, flipped=0.0),
}


class ParityError(BadData):
    """An export that scores differently from the model it was made of."""


def compare(
    reference: Run, exported: Run, images: Images, sizes: Sizes | None = None, *, batch_size: int = 8
) -> pd.DataFrame:
    """A row for each image (N, 3, H, W), uint8, with pictures of `sizes` (N, 2): pred_score and pred_label of the
    checkpoint and of the export, and the relative difference of scores; the export scores images alone and in
    batches, and the larger difference counts."""
    of_checkpoint = _in_batches(reference, images, sizes, batch_size)
    alone, together = (_in_batches(exported, images, sizes, count) for count in (1, batch_size))
    scale = np.maximum(np.abs(of_checkpoint["pred_score"]), np.finfo(np.float32).tiny)
    differences = [np.abs(found["pred_score"] - of_checkpoint["pred_score"]) / scale for found in (alone, together)]
    flipped = [found["pred_label"] != of_checkpoint["pred_label"] for found in (alone, together)]
    return pd.DataFrame(
        {
            "checkpoint_score": of_checkpoint["pred_score"],
            "checkpoint_label": of_checkpoint["pred_label"],
            "export_score": together["pred_score"],
            "export_label": together["pred_label"],
            "relative_difference": np.maximum(*differences),  # NaN stays NaN
            "flipped": np.logical_or(*flipped),
        }
    )


def require_parity(table: pd.DataFrame, *, precision: str) -> None:
    """Raises ParityError where a table of `compare` is beyond the tolerance of its precision, or has too few images."""
    tolerance = TOLERANCES[precision]
    if len(table) < MIN_IMAGES:
        raise ParityError(f"{len(table)} images are too few to compare an export on; at least {MIN_IMAGES} are needed")
    largest, flipped = float(table["relative_difference"].max(skipna=False)), int(table["flipped"].sum())
    if not largest <= tolerance.relative:
        raise ParityError(
            f"the export's scores differ by up to {largest:.2g} of the checkpoint's; allowed in {precision}: "
            f"{tolerance.relative:g}. Nothing was written; try another format or precision"
        )
    if flipped > tolerance.flipped * len(table):
        raise ParityError(
            f"the export gives {flipped} of {len(table)} images another verdict; allowed in {precision}: "
            f"{tolerance.flipped:.0%}. Nothing was written; try another format or precision"
        )


def _in_batches(run: Run, images: Images, sizes: Sizes | None, count: int) -> dict[str, np.ndarray]:
    sizes = np.tile(images.shape[2:], (len(images), 1)) if sizes is None else sizes
    parts = [run(images[first : first + count], sizes[first : first + count]) for first in range(0, len(images), count)]
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("pred_score", "pred_label")}
