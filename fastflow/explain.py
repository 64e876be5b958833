"""Why a picture has its score: which scale and which term made it, where, and which good picture is most like it.

What is usual, good pictures say: the same figures, each at its own most unusual place. Legend: S scales.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fastflow.detector import require_finite_scores
from fastflow.features import batches, extract_features
from fastflow.frame import Size, picture_shape
from fastflow.maps import Map, picture_map
from fastflow.model import FastFlow
from fastflow.padding import inside_of
from fastflow.pixels.picture import Picture
from fastflow.score_parts import Parts, Place, deciding_place, parts_of, require_finite_terms
from fastflow.trained import TrainedDetector

BATCH_SIZE = 8


class Normal(NamedTuple):
    """A figure of good pictures: the lowest, the mean, the highest."""

    low: float
    mean: float
    high: float


class ScaleTerms(NamedTuple):
    """What one scale did. `patch`: the pixels (height, width) of the picture that a position stands for. `share`: what
    it adds to pred_score. `latent` and `log_det`, bits per dimension: the two terms of its raw score, at the places
    that decided; `end`: of the normal range of raw scores, from training. `normal_...`: the same of good pictures."""

    patch: tuple[float, float]
    share: float
    latent: float
    log_det: float
    end: float
    normal_share: Normal
    normal_latent: Normal
    normal_log_det: Normal

    @property
    def raw(self) -> float:
        return self.latent + self.log_det

    @property
    def excess(self) -> tuple[float, float, float]:
        """Share, latent and log_det beyond the mean of good pictures."""
        return (
            self.share - self.normal_share.mean,
            self.latent - self.normal_latent.mean,
            self.log_det - self.normal_log_det.mean,
        )


class Explanation(NamedTuple):
    """`scales`: finest first; their shares add up to `pred_score`. `anomaly_map` (h, w): as the model sees the picture,
    of `shape` (height, width). `num_normal`: good pictures that say what is usual. `nearest`: the good picture with the
    most similar features, and how far they are: root mean square of the differences, where features have a standard
    deviation of about 1."""

    image_path: str
    pred_score: float
    threshold: float
    pred_label: int
    shape: Size
    anomaly_map: Map
    scales: list[ScaleTerms]
    place: Place
    num_normal: int
    nearest: str
    distance: float


def explain(
    detector: TrainedDetector,
    image: Path | Picture,
    *,
    good: Sequence[Path | Picture],
    normal: Sequence[Path | Picture] | None = None,
    on_images: Callable[[int], object] = lambda count: None,
) -> Explanation:
    """Why `image` has its score. `good`: pictures among which the most similar one is looked for; `normal`: good ones
    that say what is usual, best such as the model has not seen; by default `good`. `on_images` is called with the
    number of pictures of each batch that is done.

    Raises:
        ValueError: no good picture, or a model that looks at tiles. BadImage: a file that cannot be decoded. NotFinite:
            a score that is no number.
    """
    return explain_all(detector, [image], good=good, normal=normal, on_images=on_images)[0]


def explain_all(
    detector: TrainedDetector,
    images: Sequence[Path | Picture],
    *,
    good: Sequence[Path | Picture],
    normal: Sequence[Path | Picture] | None = None,
    on_images: Callable[[int], object] = lambda count: None,
) -> list[Explanation]:
    """`explain` of several images; each good picture is looked at once. An image that is itself one of `good` or
    `normal` is not compared with itself.

    Raises: as `explain`, also where an image is the only good picture.
    """
    usual, model = good if normal is None else normal, detector.model
    if not images:
        return []
    if not all(set(compared) - {image} for compared in (good, usual) for image in images):
        raise ValueError("no good picture to compare with; name at least one")
    if model.config.tiles is not None:
        raise ValueError("a model that looks at tiles has no explanation yet; its maps and regions say where")
    features = _features(model, images)
    terms = torch.cat([_terms(model, usual[part], on_images) for part in batches(len(usual), BATCH_SIZE)])
    distances = distances_to(model, features, good, on_images=on_images)
    found = []
    for number, image in enumerate(images):
        own = parts_of(model, [f[number : number + 1] for f in features])
        require_finite_scores([image], own.pred_score.numpy())
        require_finite_terms([image], own)
        others = torch.tensor([path != image for path in usual])
        apart = distances[number].masked_fill(torch.tensor([path == image for path in good]), math.inf)
        nearest = int(apart.argmin())
        found.append(_explained(detector, image, own, terms[others], str(good[nearest]), float(apart[nearest])))
    return found


def _explained(
    detector: TrainedDetector, image: Path | Picture, parts: Parts, normal: Tensor, nearest: str, distance: float
) -> Explanation:
    """From the parts of its score, and `Parts.terms` of good pictures."""
    model = detector.model
    shape, score = picture_shape(image, model.frame.rule), float(parts.pred_score[0])
    height, width = model.frame.place(shape)
    in_frame, judged, weight = (one[0, 0, :height, :width].numpy() for one in parts[2:])
    threshold = float(detector.threshold["image"])
    return Explanation(
        image_path=str(image),
        pred_score=score,
        threshold=threshold,
        pred_label=int(not score <= threshold),
        shape=shape,
        anomaly_map=picture_map(in_frame, (height, width), model.config.roi, low=float(detector.threshold["low"])),
        scales=_scales(model, parts.terms[0], normal, (shape[0] / height, shape[1] / width)),
        place=deciding_place(judged, weight, shape),
        num_normal=len(normal),
        nearest=nearest,
        distance=distance,
    )


def _terms(model: FastFlow, paths: Sequence[Path | Picture], on_images: Callable[[int], object]) -> Tensor:
    """`Parts.terms` of good pictures."""
    parts = parts_of(model, _features(model, paths))
    require_finite_terms(paths, parts)
    on_images(len(paths))
    return parts.terms


def _features(model: FastFlow, paths: Sequence[Path | Picture]) -> list[Tensor]:
    return extract_features(model, paths, batch_size=BATCH_SIZE, device=model.mean.device)


def distances_to(
    model: FastFlow,
    features: list[Tensor],
    paths: Sequence[Path | Picture],
    *,
    on_images: Callable[[int], object] = lambda count: None,
) -> Tensor:
    """Of N pictures, by their features, to each of P others: (N, P), the root mean square of the differences of
    features at the same positions, over scales alike; what is padded counts as 0."""
    own, found = _without_padding(features), list[Tensor]()
    for part in batches(len(paths), BATCH_SIZE):
        others = _without_padding(_features(model, paths[part]))
        squares = [
            torch.stack([(one - b).square().mean(dim=(1, 2, 3)) for one in a]) for a, b in zip(own, others, strict=True)
        ]
        found.append(torch.stack(squares).mean(dim=0).cpu())
        on_images(len(paths[part]))
    return torch.cat(found, dim=1).sqrt()


def _without_padding(features: list[Tensor]) -> list[Tensor]:
    return [f.masked_fill(~inside_of(f), 0.0) for f in features]


def _scales(model: FastFlow, own: Tensor, normal: Tensor, stretch: tuple[float, float]) -> list[ScaleTerms]:
    """Of own terms (S, 3) and those (N, S, 3) of good pictures; `stretch`: own pixels to one of the frame."""
    low, mean, high = normal.amin(dim=0), normal.mean(dim=0), normal.amax(dim=0)
    found = []
    for number, (rows, columns) in enumerate(model.backbone.feature_sizes):
        height, width = model.config.image_size
        share, latent, log_det = (Normal(*(float(one[number, term]) for one in (low, mean, high))) for term in range(3))
        patch = height / rows * stretch[0], width / columns * stretch[1]
        end = float(model.normal_center[number]) / math.log(2)
        own_share, own_latent, own_log_det = own[number].tolist()
        found.append(ScaleTerms(patch, own_share, own_latent, own_log_det, end, share, latent, log_det))
    return found
