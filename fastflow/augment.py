"""Augmentation: further good images, for parts that may lie in any orientation, or for light that may change.

Flips and quarter turns are drawn anew in each epoch, so features are computed each time. Variants of the images are
made beforehand, and their features are computed once.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from fastflow.data import Pictures
from fastflow.features import batches, features_of
from fastflow.model import FastFlow

AUGMENTATIONS = ("hflip", "vflip", "rot90")
Augmented = Callable[[Tensor, torch.Generator], list[Tensor]]


def augment(images: Tensor, kinds: Sequence[str], generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W), each flipped with probability 1/2 and turned by a quarter 0 to 3 times, as `kinds` says."""
    turns = torch.randint(4, (len(images), 3), generator=generator).tolist()
    return torch.stack([_moved(image, kinds, *turn) for image, turn in zip(images, turns, strict=True)])


def _moved(image: Tensor, kinds: Sequence[str], across: int, down: int, quarters: int) -> Tensor:
    dims = [dim for dim, kind, drawn in ((2, "hflip", across), (1, "vflip", down)) if kind in kinds and drawn % 2]
    image = image.flip(dims) if dims else image
    return image.rot90(quarters, (1, 2)) if "rot90" in kinds else image


def augmented_features(model: FastFlow, pictures: Pictures, kinds: Sequence[str], *, batch_size: int) -> Augmented:
    """What `Training.run` calls for features: those of freshly augmented pictures, which take their padding along.

    Raises:
        ValueError: an unknown kind, or quarter turns of images that are not square.
    """
    if unknown := sorted(set(kinds) - set(AUGMENTATIONS)):
        raise ValueError(f"augmentations {unknown} are unknown; allowed: {', '.join(AUGMENTATIONS)}")
    images, sizes = pictures.images, pictures.sizes
    height, width = images.shape[2:]
    if "rot90" in kinds and height != width:
        raise ValueError(f"augmentation rot90 needs square images; the model's are {height}x{width}")

    def features(rows: Tensor, generator: torch.Generator) -> list[Tensor]:
        inside, whole = model.inside(sizes[rows]), images[rows]
        if inside is not None:
            whole = torch.cat([whole, inside.expand(len(rows), -1, -1, -1).to(whole)], dim=1)
        moved = augment(whole, kinds, generator).to(model.mean.device)
        with torch.no_grad():
            parts = [
                model.extract(moved[part, :3], None if inside is None else moved[part, 3:] > 0)
                for part in batches(len(moved), batch_size)
            ]
        return [torch.cat(scale) for scale in zip(*parts, strict=True)]

    return features


def drawn_variants(features: list[Tensor], variants: Mapping[int, list[Tensor]], *, device: torch.device) -> Augmented:
    """Features for `Training.run`: of the scales in `variants`, each image as it is or as one of its variants, with
    equal chances.

    `variants`: by scale, counted from 0, the features (N, C_s, h_s, w_s) of all images for each variant; as many of one
    scale as of another.
    """
    count = max(map(len, variants.values()), default=0)

    def drawn(rows: Tensor, generator: torch.Generator) -> list[Tensor]:
        chosen = torch.randint(1 + count, (len(rows),), generator=generator)
        found = features_of(features, rows, device=device)
        for scale, made in variants.items():
            for number, whole in enumerate(made, start=1):
                places = torch.nonzero(chosen == number)[:, 0]
                found[scale][places.to(device)] = features_of([whole], rows[places], device=device)[0]
        return found

    return drawn
