"""The frozen feature extractor: any timm model, at chosen layers.

CNNs and hierarchical transformers give the maps of chosen stages (`features_only`), plain transformers those of
chosen blocks (`forward_intermediates`). Nothing past the last needed layer is kept or computed.
"""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.layers.format import Format
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
        self.channels_last = not self.plain_transformer and is_channels_last(self.body)
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
        return [channels_first(f, channels_last=self.channels_last) for f in self.body(images)]

    def _shapes(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Channels and (height, width) of each layer's features."""
        height, width = self.image_size
        if self.plain_transformer:
            step = reduction(self.body)
            channels = int(self.body.num_features)  # type: ignore[arg-type]
            return [channels] * len(self.layers), [(height // step, width // step)] * len(self.layers)
        try:
            features = self(torch.zeros(1, 3, height, width))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise _unfit(self.name, self.image_size, error) from error
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
    options = _source(name) if pretrained else {}
    if cfg is not None and str(cfg.first_conv).startswith("patch_embed"):
        body = _plain_transformer(name, image_size, options)
        if body is not None:
            _check_layers(name, layers, len(body.blocks), "blocks")  # type: ignore[arg-type]
            body.prune_intermediate_layers(list(layers), prune_norm=False, prune_head=True)  # type: ignore[operator]
            return body, True
    try:
        body = timm.create_model(
            name, features_only=True, out_indices=tuple(layers), **_sized(name, image_size), **options
        )
    except (IndexError, AssertionError) as error:
        full: Any = timm.create_model(name, features_only=True)
        _check_layers(name, layers, len(full.feature_info.channels()), "stages")
        raise _unfit(name, image_size, error) from error
    except RuntimeError as error:
        raise ValueError(f"backbone {name} has no feature maps that timm can give: {error}") from error
    return _cut(body), False


def _unfit(name: str, image_size: tuple[int, int], error: Exception) -> ValueError:
    cfg = timm.get_pretrained_cfg(name)
    native = "x".join(map(str, cfg.input_size[1:])) if cfg else "its native one"
    return ValueError(
        f"image_size {image_size[0]}x{image_size[1]} does not fit backbone {name} ({error}); "
        f"use its own size, {native}, or another multiple of its window and patch"
    )


def _sized(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """Arguments for models with positions or windows of a fixed size; timm resamples their weights."""
    cfg = timm.get_pretrained_cfg(name)
    return {"img_size": image_size} if cfg is not None and cfg.fixed_input_size else {}


def _source(name: str) -> dict[str, Any]:
    """Arguments by which timm fetches pretrained weights: the hub's .safetensors file, never its pickle."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.hf_hub_id:
        raise ValueError(f"backbone {name}: timm offers its weights as a pickle alone, and none is ever read")
    return {"pretrained": True, "pretrained_cfg_overlay": {"hf_hub_filename": "model.safetensors"}}


def _cut(body: nn.Module) -> nn.Module:
    """Without the stages past the last needed one: timm leaves them in EfficientNets, and computes them."""
    last, _, number = str(body.feature_info.module_name()[-1]).partition(".")  # type: ignore[operator, union-attr]
    stages = getattr(body, last, None)
    if last == "blocks" and isinstance(stages, nn.Sequential):
        body.blocks = stages[: int(number.partition(".")[0]) + 1]
    return body


def _plain_transformer(name: str, image_size: tuple[int, int], options: dict[str, Any]) -> nn.Module | None:
    """A whole transformer at `image_size`; None if its blocks do not share one scale (Swin and its like)."""
    native = timm.get_pretrained_cfg(name).input_size[1:]  # type: ignore[union-attr]
    probe_size = image_size if _patch_multiple(name, image_size) else native
    try:
        body: nn.Module = timm.create_model(name, num_classes=0, **_sized(name, probe_size), **options)
    except AssertionError as error:
        raise _unfit(name, image_size, error) from error
    stages: Any = getattr(body, "feature_info", [])
    one_scale = len({stage["reduction"] for stage in stages}) == 1
    if not (one_scale and hasattr(body, "blocks") and hasattr(body, "forward_intermediates")):
        return None
    step = reduction(body)
    for side, axis in zip(image_size, ("height", "width"), strict=True):
        if side % step:
            low = side // step * step
            raise ValueError(
                f"image_size {image_size[0]}x{image_size[1]} does not fit backbone {name}: its {axis} must be "
                f"a multiple of the patch, {step}: use {low or step} or {low + step}"
            )
    return body


def _patch_multiple(name: str, image_size: tuple[int, int]) -> bool:
    """Whether the size is a multiple of the patch in the model's name; True where there is none."""
    patch = next((int(part[5:]) for part in name.split("_") if part[:5] == "patch" and part[5:].isdigit()), 1)
    return not any(side % patch for side in image_size)


def reduction(body: nn.Module) -> int:
    """The pixels a side that a position of a plain transformer stands for, or of a cut model's coarsest features."""
    info: Any = body.feature_info
    return int(max(info.reduction() if hasattr(info, "reduction") else (stage["reduction"] for stage in info)))


def size_multiple(name: str, *, layers: Sequence[int]) -> int:
    """What height and width of images must be a multiple of, so that every feature at `layers` sees as much of them.

    Raises:
        ValueError: as `Backbone`.
    """
    check_name(name)
    cfg = timm.get_pretrained_cfg(name)
    native: tuple[int, int] = tuple(cfg.input_size[1:]) if cfg is not None else (224, 224)  # type: ignore[assignment]
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):  # no memory, no random numbers
                body, _ = create_body(name, layers=layers, image_size=native)
        except (NotImplementedError, RuntimeError):
            body, _ = create_body(name, layers=layers, image_size=native)
    return reduction(body)


def is_channels_last(body: nn.Module) -> bool:
    """Whether a `features_only` model answers (B, H, W, C), as Swin and its like do."""
    return Format(getattr(body, "output_fmt", Format.NCHW)) == Format.NHWC


def channels_first(features: Tensor, *, channels_last: bool) -> Tensor:
    """Features as (B, C, H, W)."""
    return features.permute(0, 3, 1, 2) if channels_last else features


def tagged(name: str) -> str:
    """A timm model's name with the tag that timm takes where none is given."""
    cfg = timm.get_pretrained_cfg(name)
    return f"{cfg.architecture}.{cfg.tag}" if cfg is not None and cfg.tag else name


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
