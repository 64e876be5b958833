"""The frozen feature extractor: any timm model, at chosen layers.

CNNs and hierarchical transformers give the maps of chosen stages (`features_only`), plain transformers those of
chosen blocks (`forward_intermediates`). Nothing past the last needed layer is kept or computed.
"""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A frozen timm model in evaluation mode that returns one feature map per chosen layer.

    Its weights are drawn from torch's random state; `fastflow.weights.load_weights` fills in others.

    Args:
        name: a timm model name, with its weights' tag where they matter (`resnet18.tv_in1k`).
        layers: stage indices of a CNN, or block indices of a transformer.
        image_size: (height, width) in pixels.
        final_norm: apply a transformer's own final norm to its features (as the reproductions do for DeiT, CaiT).

    Raises:
        ValueError: unknown model, layer out of range, or a size the model cannot take.
    """

    def __init__(
        self, name: str, *, layers: Sequence[int], image_size: tuple[int, int], final_norm: bool = False
    ) -> None:
        super().__init__()
        self.name, self.layers, self.image_size, self.final_norm = name, tuple(layers), image_size, final_norm
        self.body, self.plain_transformer = create_body(name, layers=self.layers, image_size=image_size)
        self.requires_grad_(False).eval()
        self.channels, self.feature_sizes = self._shapes()

    def train(self, mode: bool = True) -> "Backbone":
        """Stays in evaluation mode: the backbone is frozen, its batch norm too."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) to features [(B, C_s, H_s, W_s)], one per layer, without gradient."""
        if self.plain_transformer:
            blocks: list[Tensor] = self.body.forward_intermediates(  # type: ignore[operator]
                images,
                indices=list(self.layers),
                norm=self.final_norm,
                stop_early=True,
                output_fmt="NCHW",
                intermediates_only=True,
            )
            return blocks
        channels = self.body.feature_info.channels()  # type: ignore[operator, union-attr]
        return [channels_first(f, c) for f, c in zip(self.body(images), channels, strict=True)]

    def _shapes(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Channels and (height, width) of each layer's features."""
        height, width = self.image_size
        if self.plain_transformer:
            vertical, horizontal = _patch_size(self.body)
            grid = (height // vertical, width // horizontal)
            return [int(self.body.num_features)] * len(self.layers), [grid] * len(self.layers)  # type: ignore[arg-type]
        try:
            features = self(torch.zeros(1, 3, height, width))
        except (AssertionError, RuntimeError, ValueError) as error:
            cfg = timm.get_pretrained_cfg(self.name)
            native = "x".join(map(str, cfg.input_size[1:])) if cfg else "its native one"
            raise ValueError(
                f"image_size {height}x{width} does not fit backbone {self.name} ({error}); "
                f"use its own size, {native}, or another multiple of its window and patch"
            ) from error
        return [f.shape[1] for f in features], [(f.shape[2], f.shape[3]) for f in features]


def create_body(
    name: str, *, layers: Sequence[int], image_size: tuple[int, int], pretrained: bool = False
) -> tuple[nn.Module, bool]:
    """The timm model cut at the last of `layers`, and whether it is a plain transformer.

    Raises:
        ValueError: as `Backbone`.
    """
    check_name(name)
    cfg = timm.get_pretrained_cfg(name)
    source = _source(name) if pretrained else {}
    size_args: dict[str, Any] = {"img_size": image_size} if cfg is not None and cfg.fixed_input_size else {}
    if cfg is not None and str(cfg.first_conv).startswith("patch_embed"):
        body = _create_transformer(name, image_size, source=source)
        if body is not None:
            _check_layers(name, layers, len(body.blocks), "blocks")  # type: ignore[arg-type]
            body.prune_intermediate_layers(list(layers), prune_norm=False, prune_head=True)  # type: ignore[operator]
            return body, True
    try:
        body = timm.create_model(name, features_only=True, out_indices=tuple(layers), **size_args, **source)
    except (AssertionError, IndexError) as error:
        full: Any = timm.create_model(name, features_only=True, **size_args)
        _check_layers(name, layers, len(full.feature_info.channels()), "stages")
        raise ValueError(f"backbone {name}: layers {list(layers)} cannot be had ({error})") from error
    except RuntimeError as error:
        raise ValueError(f"backbone {name} has no feature maps that timm can give: {error}") from error
    return body, False


def _source(name: str) -> dict[str, Any]:
    """How timm is told to fetch pretrained weights: the hub's .safetensors file, never its pickle."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.hf_hub_id:
        raise ValueError(f"backbone {name}: timm offers its weights as a pickle alone, and none is ever read")
    return {"pretrained": True, "pretrained_cfg_overlay": {"hf_hub_filename": "model.safetensors"}}


def _create_transformer(name: str, image_size: tuple[int, int], *, source: dict[str, Any]) -> nn.Module | None:
    """A whole plain transformer at `image_size`; None if its blocks do not share one scale (Swin and its like)."""
    native = timm.get_pretrained_cfg(name).input_size[1:]  # type: ignore[union-attr]
    probe_size = image_size if _patch_multiple(name, image_size) else native
    body: nn.Module = timm.create_model(name, img_size=probe_size, num_classes=0, **source)
    if not (hasattr(body, "blocks") and hasattr(body, "forward_intermediates")):
        return None
    for side, patch, axis in zip(image_size, _patch_size(body), ("height", "width"), strict=True):
        if side % patch:
            low = side // patch * patch
            raise ValueError(
                f"image_size {image_size[0]}x{image_size[1]} does not fit backbone {name}: its {axis} must be "
                f"a multiple of the patch, {patch}: use {low or patch} or {low + patch}"
            )
    return body


def _patch_multiple(name: str, image_size: tuple[int, int]) -> bool:
    """Whether the size is a multiple of the patch that the model's name tells; True where it tells none."""
    patch = next((int(part[5:]) for part in name.split("_") if part[:5] == "patch" and part[5:].isdigit()), 1)
    return not any(side % patch for side in image_size)


def _patch_size(body: nn.Module) -> tuple[int, int]:
    vertical, horizontal = body.patch_embed.patch_size  # type: ignore[union-attr, misc]
    return int(vertical), int(horizontal)


def channels_first(features: Tensor, channels: int) -> Tensor:
    """Swin and its like answer (B, H, W, C)."""
    return features if features.shape[1] == channels else features.permute(0, 3, 1, 2)


def check_name(name: str) -> None:
    """Raises ValueError, with the nearest names, if timm has no such model or tag."""
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        near = timm.list_models(f"*{base.split('_')[0]}*")[:8]
        raise ValueError(f"backbone {name!r} is not a timm model; near names: {', '.join(near) or 'none'}")
    tags = [other.partition(".")[2] for other in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise ValueError(f"backbone {name!r}: timm has no weights tagged {tag!r}; it has {', '.join(tags) or 'none'}")


def _check_layers(name: str, layers: Sequence[int], count: int, kind: str) -> None:
    if not layers or not all(0 <= layer < count for layer in layers) or len(set(layers)) < len(layers):
        raise ValueError(f"backbone {name}: layers {list(layers)} must be distinct {kind} from 0 to {count - 1}")
