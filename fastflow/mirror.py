"""Mirror images as further training images, for scales that fit theirs too closely; good images alone decide.

Flipped, a picture of a part that lies in any way is another good picture; of one that always lies alike it is not. The
folds tell: if held-out images, as they are, become likelier to a flow that has also been trained on flipped ones, these
are kept. Coarse scales of few images need it, and each scale has its own flow, so each decides for itself.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fastflow.data import read_pictures
from fastflow.features import batches
from fastflow.model import FastFlow
from fastflow.pixels.picture import Picture

CROWDED_FRACTION = 0.07
"""Twice what `fastflow.noise` tolerates at its lowest level: the exceedance from which mirror images are tried."""
FLIPS = ((3,), (2,), (2, 3))
"""Dimensions of (B, C, H, W) that are reversed: across, down, and both, which is half a turn."""
Mirrored = Callable[[Sequence[int]], dict[int, list[Tensor]]]
"""Of the scales asked for: the features (N, C_s, h_s, w_s) of all images for each of `FLIPS`."""


def mirrored_features(model: FastFlow, paths: Sequence[Path | Picture], *, batch_size: int) -> Mirrored:
    """What `fastflow.fit.fit` asks for the features of flipped pictures, which take their padding along; they are
    computed when it does, and stay on the CPU."""

    @torch.no_grad()
    def mirrored(scales: Sequence[int]) -> dict[int, list[Tensor]]:
        parts: dict[int, list[list[Tensor]]] = {scale: [[] for _ in FLIPS] for scale in scales}
        for part in batches(len(paths), batch_size):
            pictures = read_pictures(paths[part], model.frame)
            inside = model.inside(pictures.sizes)
            device = model.mean.device
            for number, dims in enumerate(FLIPS):
                shown = None if inside is None else inside.flip(dims).to(device)
                features = model.extract(pictures.images.flip(dims).to(device), shown)
                for scale in scales:
                    parts[scale][number].append(features[scale].cpu())
        return {scale: [torch.cat(flip) for flip in flips] for scale, flips in parts.items()}

    return mirrored
