"""FastFlow (arXiv 2111.07677): a frozen backbone, and one normalizing flow per scale of its features.

Read this file first. An image goes through four steps:

    images (B, 3, H, W) uint8 -> features [(B, C_s, h_s, w_s)] -> (z_s, log_det_jacobian_s) -> anomaly_map, pred_score
             normalise, backbone, feature norm       flows              score, merge scales, top pixels

A flow keeps the shape of its features: a chain of affine couplings, in which 3x3 and 1x1 convolutions in turn make of
one half of the channels the scale and shift of the other (`fastflow.flow`). A score is read off z and the
log-determinant (`fastflow.score`). Training (`fastflow.train`) needs only the middle: `loss(features)`. The backbone
is frozen, so an image's features are computed once, unless it is augmented. Training ends with `calibrate`,
which sets each scale's normal_center and normal_spread from the features of good images.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastflow.backbone import Backbone
from fastflow.config import FastFlowConfig
from fastflow.flow import Flow
from fastflow.frame import Frame
from fastflow.fused.coupling import forward_positions
from fastflow.padding import (
    RoiInFrame,
    any_padding,
    as_pixels,
    continued,
    inside_of,
    inside_positions,
    marked,
    nll_inside,
    normalise_inside,
    padding_of,
)
from fastflow.score import SCORES, NormalRange, image_score, merge_scales, position_score, scale_weights, total_nll
from fastflow.streams import side_by_side
from fastflow.weights import load_weights


class Prediction(NamedTuple):
    """anomaly_map (B, 1, H, W) and pred_score (B,); higher is more anomalous; ranges in `fastflow.score`. A map is NaN
    where its image is padded, and outside of the region of interest."""

    anomaly_map: Tensor
    pred_score: Tensor


class Maps(NamedTuple):
    """(B, 1, H, W): the anomaly map, and `judged`, which the image score is taken from; beside `inside` (B or 1, 1, H,
    W; None: all of them) they mean nothing."""

    anomaly_map: Tensor
    judged: Tensor
    inside: Tensor | None


class FastFlow(nn.Module):
    """The whole model; its random parts (flows, permutations, an untrained backbone) come from torch's seed."""

    mean: Tensor
    std: Tensor
    normal_center: Tensor
    normal_spread: Tensor

    def __init__(self, config: FastFlowConfig) -> None:
        super().__init__()
        self.config = config
        self.fused = True  # by one kernel a step, where there is one; False: by the flow's readable definition
        self.rule = SCORES[config.score]
        self.backbone = Backbone(
            config.backbone, layers=config.layers, image_size=config.image_size, final_norm=config.final_norm
        )
        self.flows = nn.ModuleList(
            Flow(
                channels,
                flow_steps=config.flow_steps,
                hidden_ratio=config.hidden_ratio,
                conv3x3_only=config.conv3x3_only,
                couplings=config.couplings,
                clamp=config.clamp,
                conditioner_clip=config.conditioner_clip,
            )
            for channels in self.backbone.channels
        )
        self.affines = nn.ModuleList(
            FeatureAffine(channels, size) if config.feature_norm == "layer_affine" else nn.Identity()
            for channels, size in zip(self.backbone.channels, self.backbone.feature_sizes, strict=True)
        )
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        scales = len(config.layers)
        self.register_buffer("normal_center", torch.zeros(scales))
        self.register_buffer("normal_spread", torch.ones(scales))
        inside = self.frame.inside()
        self.roi = None if inside is None else RoiInFrame(inside, self.backbone.feature_sizes)

    @property
    def frame(self) -> Frame:
        """What pictures are laid into; `fastflow.data.read_pictures` does it."""
        height, width = self.config.tiles.picture if self.config.tiles else self.config.image_size
        grid = min(self.config.image_size[0] // rows for rows, _ in self.backbone.feature_sizes)
        return Frame(height, width, grid if self.config.letterbox else None, self.config.rule, self.config.roi)

    def inside(self, sizes: Tensor | None) -> Tensor | None:
        """Where pictures of `sizes` (B, 2) are looked at, (B or 1, 1, H, W), bool: in the region of interest, or where
        no padding is; None: everywhere."""
        return padding_of(sizes, self.config.image_size) if self.roi is None else self.roi.pixels

    def extract(self, images: Tensor, inside: Tensor | None = None) -> list[Tensor]:
        """uint8 images (B, 3, H, W), 0..255, to normalised features [(B, C_s, h_s, w_s)], without gradient.

        `inside` (B or 1, 1, H, W), bool: that of `FastFlow.inside`, flipped where images are. Elsewhere the backbone
        sees zeros, and features are marked (`fastflow.padding`).
        """
        pixels = (images.to(self.mean.dtype) / 255 - self.mean) / self.std
        kind = self.config.feature_norm
        if inside is None:
            return [normalise_features(f, kind=kind) for f in self.backbone(pixels)]
        features = self.backbone(pixels * inside)
        positions = inside_positions if self.roi is None else self.roi.positions
        masks = [positions(inside, (f.shape[2], f.shape[3])) for f in features]
        return [marked(normalise_features(f, kind=kind, inside=m), m) for f, m in zip(features, masks, strict=True)]

    def latents(self, features: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Features to (z, log_det_jacobian) per scale; the latter per position, (B, h_s, w_s), nats. What is padded is
        the mean to the flow, and has latents without meaning."""
        if any_padding(features):
            features = [f.masked_fill(~inside_of(f), 0.0) for f in features]
        forward = forward_positions if self.fused else Flow.forward_positions
        calls = [
            partial(forward, flow, affine(f))  # type: ignore[arg-type]
            for flow, affine, f in zip(self.flows, self.affines, features, strict=True)
        ]
        return side_by_side(calls, features[0].device)

    def loss(self, features: list[Tensor]) -> Tensor:
        """Mean negative log-likelihood of the features, in bits per dimension (paper, eq. 2); of padding, none.

        A density's: it may be negative, and less is better.
        """
        latents = self.latents(features)
        if not any_padding(features):
            nats = torch.stack([total_nll(z, log_det) for z, log_det in latents]).sum()
            return nats / sum(f.numel() for f in features) / math.log(2)
        inside = [inside_of(f) for f in features]
        parts = [nll_inside(z, log_det, m) for (z, log_det), m in zip(latents, inside, strict=True)]
        values = torch.stack([m.sum() * f.shape[1] for f, m in zip(features, inside, strict=True)])
        return torch.stack(parts).sum() / values.sum() / math.log(2)

    def score(self, features: list[Tensor]) -> Prediction:
        """Features of images to their anomaly maps, at the input size, and image scores."""
        maps = self.maps_of(features)
        pred_score = image_score(maps.judged, top_fraction=self.rule.top_fraction, inside=maps.inside)
        if maps.inside is None:
            return Prediction(maps.anomaly_map, pred_score)
        return Prediction(maps.anomaly_map.masked_fill(~maps.inside, torch.nan), pred_score)

    def maps_of(self, features: list[Tensor]) -> Maps:
        """Features of images to their maps."""
        return self.maps(self.position_scores(self.latents(features)), features)

    def position_scores(self, latents: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """(z, log_det_jacobian) per scale to the scores (B, h_s, w_s) of positions."""
        normal = zip(self.normal_center, self.normal_spread, strict=True)
        return [
            position_score(z, log_det, rule=self.rule, normal=NormalRange(*ends))
            for (z, log_det), ends in zip(latents, normal, strict=True)
        ]

    def maps(self, scores: list[Tensor], features: list[Tensor]) -> Maps:
        """Position scores (B, h_s, w_s) to maps; the features say what of them is padding."""
        if self.roi is not None:
            merged = self._merged([self.roi.continued(s, scale) for scale, s in enumerate(scores)])
            return Maps(*merged, self.roi.pixels)
        if not any_padding(features):
            return Maps(*self._merged(scores), None)
        inside = [inside_of(f) for f in features]
        merged = self._merged([continued(s, m) for s, m in zip(scores, inside, strict=True)])
        return Maps(*merged, as_pixels(max(inside, key=lambda m: m.shape[2]), self.config.image_size))

    @property
    def smoothing(self) -> float:
        """Standard deviation of the map's Gaussian, pixels: the rule's share of the root of the area, so that lying and
        standing parts have the same; of stretched images, of the height."""
        height, width = self.config.image_size
        return self.rule.smoothing * (math.sqrt(height * width) if self.config.letterbox else height)

    def _merged(self, scores: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Position scores to the map (B, 1, H, W), and to the one that the image score is taken from."""
        size = self.config.image_size
        smoothing = self.smoothing / size[0]
        anomaly_map = merge_scales(scores, image_size=size, smoothing=smoothing)
        weights = scale_weights(self.backbone.feature_sizes, kind=self.rule.image_weights)
        if weights is None:
            return anomaly_map, anomaly_map
        return anomaly_map, merge_scales(scores, image_size=size, smoothing=smoothing, weights=weights)

    @torch.no_grad()
    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Prediction:
        """uint8 images (B, 3, H, W), 0..255, of the configured size, that of a tile where there are tiles, to
        anomaly_map and pred_score.

        `sizes` (B, 2), whole: height and width of each picture in its image, the rest is padding; None: all of it.
        """
        return self.score(self.extract(images, self.inside(sizes)))


def build_model(config: FastFlowConfig, *, weights: str, seed: int) -> FastFlow:
    """A new model: its random parts drawn from torch's generator, which `seed` sets; its backbone's `weights`
    imagenet, random, or a .safetensors file.

    Raises:
        ValueError: the backbone, the size or the weights do not fit.
    """
    torch.manual_seed(seed)
    model = FastFlow(config)
    load_weights(model.backbone, weights)
    return model


class FeatureAffine(nn.Module):
    """The reproductions' trainable scale and shift of a layer norm over (C, H, W).

    Kept to load their weights. It binds a model to one feature size, and its missing log-determinant lets the loss
    fall by shrinking features; prefer `feature_norm: layer`.
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, *size))
        self.bias = nn.Parameter(torch.zeros(channels, *size))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.weight + self.bias


def normalise_features(features: Tensor, *, kind: str, inside: Tensor | None = None) -> Tensor:
    """Features (B, C, h, w) to zero mean and unit variance: over (C, h, w) (`layer`, `layer_affine`), over C at each
    position (`channel`), or as they are (`none`). `inside` (B, 1, h, w): the positions that count; None: all."""
    if kind == "none":
        return features
    if inside is not None and kind != "channel":
        return normalise_inside(features, inside)
    dims = (1,) if kind == "channel" else (1, 2, 3)
    variance, mean = torch.var_mean(features, dim=dims, correction=0, keepdim=True)
    return (features - mean) / torch.sqrt(variance + 1e-5)
