"""A trained model as one graph for inference: pixels in, score, verdict and map out, with all that is constant folded.

What training keeps apart is one here: the pixels' normalisation is a multiply-add; the subnet's damping and the global
affine are in its second convolution; what is after the last step's permutation is a sum over channels, so that falls
away; the log-determinant is summed only where the score asks for it; upsampling, mean over scales and blur are linear
and separable, so they are one matrix per scale and axis. `fastflow.model` is the definition; `fastflow.export.parity`
holds this to it.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastflow.allowed import FINITE, check
from fastflow.checkpoint import require_usable
from fastflow.export.fold import FoldedFlow, folded_backbone
from fastflow.model import FastFlow
from fastflow.padding import HALF, as_pixels, continued, inside_pixels
from fastflow.score import blur, image_score, raw_score, scale_weights


class ScoringGraph(nn.Module):
    """uint8 images (B, 3, H, W), 0..255, of the configured size, to pred_score (B,), pred_label (B,) int64, 1 above the
    threshold, and anomaly_map (B, 1, H, W); the batch may have any size. A model with `letterbox` also takes `sizes`
    (B, 2), int64: the height and width that each picture has in its image; beyond it, a map is NaN. So it is outside of
    a region of interest: that is in the graph, which then takes no `sizes`. Of a model with tiles, the graph is that of
    a tile, and gives (T, 2, h, w), its two maps (`fastflow.tiling.TileMaps`).

    `threshold`: of pred_score; above it an image is anomalous.
    """

    def __init__(self, model: FastFlow, *, threshold: float) -> None:
        super().__init__()
        check("export", "threshold", threshold, FINITE)
        require_usable(model)
        config = model.config
        self.rule, self.threshold, self.feature_norm = model.rule, threshold, config.feature_norm
        self.register_buffer("pixel_scale", 1 / (255 * model.std))
        self.register_buffer("pixel_offset", -model.mean / model.std)
        self.backbone = folded_backbone(model.backbone)
        self.affines = copy.deepcopy(model.affines)
        log_det = model.rule.log_det_weight != 0 and model.rule.compress != "exp"
        with torch.no_grad():
            self.flows = nn.ModuleList(FoldedFlow(flow, log_det=log_det) for flow in model.flows)  # type: ignore[arg-type]
        self.register_buffer("center", model.normal_center.clone())
        self.register_buffer("spread", model.normal_spread.clone())
        self.weights = scale_weights(model.backbone.feature_sizes, kind=model.rule.image_weights)
        smoothing = model.smoothing
        self.image_size, self.roi = config.image_size, copy.deepcopy(model.roi)
        self.takes_sizes = config.letterbox and self.roi is None
        self.of_tiles = config.tiles is not None
        self.finest = max(range(len(self.flows)), key=lambda scale: model.backbone.feature_sizes[scale][0])
        for scale, size in enumerate(model.backbone.feature_sizes):
            rows, columns = (enlargement(a, b, sigma=smoothing) for a, b in zip(size, config.image_size, strict=True))
            self.register_buffer(f"rows_{scale}", (rows / len(self.flows)).float())
            self.register_buffer(f"columns_{scale}", columns.T.float().contiguous())
            for axis, count, side in zip(("height", "width"), size, config.image_size, strict=True):
                self.register_buffer(f"{axis}_shares_{scale}", shares(side, count))
        self.requires_grad_(False).eval()

    pixel_scale: Tensor
    pixel_offset: Tensor
    center: Tensor
    spread: Tensor

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        pixels = images.to(self.pixel_scale.dtype) * self.pixel_scale + self.pixel_offset
        seen: Tensor | None = None
        if self.roi is not None:
            seen = self.roi.pixels
            scores = [
                self.roi.continued(self._position_score(n, f, self.roi.get_buffer(f"positions_{n}")), n)
                for n, f in enumerate(self.backbone(pixels * seen))
            ]
        elif sizes is None:
            scores = [self._position_score(n, f) for n, f in enumerate(self.backbone(pixels))]
        else:
            features = self.backbone(pixels * inside_pixels(sizes, self.image_size))
            inside = [self._inside(scale, sizes) for scale in range(len(features))]
            scores = [self._position_score(n, f, m) for n, (f, m) in enumerate(zip(features, inside, strict=True))]
            scores = [continued(s, m) for s, m in zip(scores, inside, strict=True)]
            seen = as_pixels(inside[self.finest], self.image_size)
        anomaly_map, judged = self._merged(scores)
        if self.of_tiles:
            return (torch.cat([anomaly_map, judged], dim=1),)
        pred_score = image_score(judged, top_fraction=self.rule.top_fraction, inside=seen)
        anomaly_map = anomaly_map if seen is None else anomaly_map.masked_fill(~seen, torch.nan)
        return pred_score, (~(pred_score <= self.threshold)).long(), anomaly_map

    def _inside(self, scale: int, sizes: Tensor) -> Tensor:
        """As `fastflow.padding.inside_positions`, (B, 1, h, w)."""
        height, width = (
            (torch.arange(side) < sizes[:, axis : axis + 1]).float() @ self.get_buffer(f"{name}_shares_{scale}")
            for axis, (name, side) in enumerate(zip(("height", "width"), self.image_size, strict=True))
        )
        return (height[:, None, :, None] * width[:, None, None, :]) >= HALF

    def _merged(self, scores: list[Tensor]) -> tuple[Tensor, Tensor]:
        """As `fastflow.score.merge_scales`, (B, 1, H, W): the map, and what the image score is taken from."""
        maps = [
            self.get_buffer(f"rows_{scale}") @ score @ self.get_buffer(f"columns_{scale}")
            for scale, score in enumerate(scores)
        ]
        anomaly_map = torch.stack(maps).sum(dim=0)[:, None] if len(maps) > 1 else maps[0][:, None]
        if self.weights is None:
            return anomaly_map, anomaly_map
        # each map is a share of 1 / scales of the mean already
        weighted = [len(maps) * weight * one for weight, one in zip(self.weights, maps, strict=True)]
        return anomaly_map, torch.stack(weighted).sum(dim=0)[:, None]

    def _position_score(self, scale: int, features: Tensor, inside: Tensor | None = None) -> Tensor:
        """As `fastflow.score.position_score`, (B, h, w)."""
        features = self._normalised(features, inside)
        features = features if inside is None else features.masked_fill(~inside, 0.0)
        z, log_det_jacobian = self.flows[scale](self.affines[scale](features))
        if self.rule.compress == "exp":
            return torch.nan_to_num(-torch.exp(-z.square().mean(dim=1) / 2), nan=0.0)
        raw = raw_score(z, log_det_jacobian, log_det_weight=self.rule.log_det_weight)
        highest = torch.finfo(raw.dtype).max
        raw = raw.nan_to_num(nan=highest, posinf=highest, neginf=highest)
        if self.rule.compress == "sigmoid":
            return torch.sigmoid((raw - self.center[scale]) / self.spread[scale])
        return raw

    def _normalised(self, features: Tensor, inside: Tensor | None) -> Tensor:
        match self.feature_norm:
            case "none":
                return features
            case "channel":
                channels = features.shape[1]
                return functional.layer_norm(features.movedim(1, -1), [channels], eps=1e-5).movedim(-1, 1)
            case _:
                return centred(features, inside)


def centred(features: Tensor, inside: Tensor | None = None) -> Tensor:
    """Layer norm of (B, C, h, w) over C and the positions `inside` (B, 1, h, w), in steps: the layer norms of ONNX
    Runtime and OpenVINO add 260,000 values one after the other, which costs a score 0.0001 of its worth."""

    def mean(values: Tensor) -> Tensor:
        if inside is None:
            return values.mean(dim=(2, 3), keepdim=True).mean(dim=1, keepdim=True)
        here = inside.to(values.dtype)
        sums = (values * here).sum(dim=(2, 3), keepdim=True) / here.sum(dim=(2, 3), keepdim=True)
        return sums.mean(dim=1, keepdim=True)

    centre = features - mean(features)
    return centre * torch.rsqrt(mean(centre.square()) + 1e-5)


def shares(side: int, count: int) -> Tensor:
    """The matrix (side, count) that means pixels over each position of one axis, as adaptive average pooling does."""
    return functional.adaptive_avg_pool1d(torch.eye(side)[:, None, :], count)[:, 0].contiguous()


def enlargement(size: int, new_size: int, *, sigma: float) -> Tensor:
    """The matrix (new_size, size), float64, of what `fastflow.score.merge_scales` does to one axis: bilinear, blur."""
    basis = torch.eye(size, dtype=torch.float64)[:, None, :]  # each position alone
    wide = functional.interpolate(basis, size=new_size, mode="linear", align_corners=False)
    if sigma:
        line = wide[:, :, None, :].expand(-1, -1, 1, -1)
        wide = blur(line, sigma=sigma)[:, :, 0]
    return wide[:, 0].T.contiguous()
