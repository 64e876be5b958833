"""Weights of a backbone: ImageNet's from a package or from timm, a local .safetensors file, or drawn from the seed."""

import logging
import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor

from fastflow.backbone import Backbone, create_body, tagged
from fastflow.packaged import PACKAGED, packaged_weights

RANDOM, IMAGENET = "random", "imagenet"
PRETRAINED = "pretrained"  # the former name of `imagenet`; still accepted
_POSITIONS = "pos_embed"
log = logging.getLogger(__name__)


def load_weights(backbone: Backbone, weights: str) -> None:
    """Fills `backbone`: `imagenet` from an installed package, or else as timm has them (which, for models that ImageNet
    had no part in, such as DINOv2, are of other images); `random` keeps what the seed drew; a path names a file.

    A file must hold every tensor the cut backbone needs, under timm's names; later layers in it are ignored. A
    transformer's learned positions are resampled to the model's image size, as timm does for its own weights.

    Raises:
        ValueError: the file is absent, is not safetensors or does not fit; or there are no such weights here.
    """
    if weights == PRETRAINED:
        log.warning("weights: pretrained is now called imagenet; write imagenet")
    if weights in (IMAGENET, PRETRAINED):
        _load_imagenet(backbone)
    elif weights != RANDOM:
        _load_file(backbone, Path(weights))


def _load_imagenet(backbone: Backbone) -> None:
    if (name := tagged(backbone.name)) in PACKAGED:
        stages = [len(stage) for stage in backbone.body.blocks]  # type: ignore[union-attr]
        if tensors := packaged_weights(name, stages=stages):
            _load_tensors(backbone, tensors, what=f"package {PACKAGED[name].distribution}")
            return
    _load_from_timm(backbone)


def _load_from_timm(backbone: Backbone) -> None:
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it logs two lines for each of five retries
    try:
        body, _ = create_body(backbone.name, layers=backbone.layers, image_size=backbone.image_size, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"ImageNet weights of {backbone.name} are in no package here nor in this machine's cache, and the Hugging "
            f"Face hub did not give them ({_reason(error)}); {_cure(backbone.name)}"
        ) from error
    finally:
        hub.setLevel(level)
    backbone.body.load_state_dict(body.state_dict())


def _cure(name: str) -> str:
    if packaged := PACKAGED.get(tagged(name)):
        return f"install {packaged.distribution}, or set weights to a local .safetensors file"
    return "set weights to a local .safetensors file, or take preset efficientnet_lite2, whose weights need no network"


def _reason(error: BaseException) -> str:
    """The first line of the original error."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _load_file(backbone: Backbone, path: Path) -> None:
    if not path.is_file():
        raise ValueError(
            f"weights file {path} does not exist; give an existing .safetensors file, 'imagenet' or 'random'"
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"weights file {path} is not a readable .safetensors file ({error})") from error
    _load_tensors(backbone, tensors, what=f"weights file {path}")


def _load_tensors(backbone: Backbone, tensors: dict[str, Tensor], *, what: str) -> None:
    tensors |= _fitted_positions(backbone, tensors)
    wanted = {k: v for k, v in backbone.body.state_dict().items() if not k.endswith("num_batches_tracked")}
    _check_fit(wanted, tensors, what=f"{what} does not fit backbone {backbone.name}")
    backbone.body.load_state_dict({key: tensors[key] for key in wanted}, strict=False)


def _fitted_positions(backbone: Backbone, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A plain transformer's position embedding (1, prefix + h * w, C), fitted to the grid of the model's image size."""
    wanted, got = (state.get(_POSITIONS) for state in (backbone.body.state_dict(), tensors))
    if not backbone.plain_transformer or wanted is None or got is None or got.shape == wanted.shape:
        return {}
    height, width = backbone.feature_sizes[0]
    prefix = wanted.shape[1] - height * width  # class and distillation tokens have no place
    side = math.isqrt(max(0, got.shape[1] - prefix)) if got.ndim == wanted.ndim else 0
    if side * side + prefix != got.shape[1] or side == 0:
        return {}  # not a square grid: `_check_fit` says so
    return {_POSITIONS: resample_abs_pos_embed(got, [height, width], num_prefix_tokens=prefix)}


def _check_fit(wanted: dict[str, Tensor], got: dict[str, Tensor], *, what: str) -> None:
    missing = sorted(wanted.keys() - got.keys())
    if missing:
        raise ValueError(f"{what}: it lacks {len(missing)} of {len(wanted)} tensors, {missing[0]} among them")
    for key, tensor in wanted.items():
        if got[key].shape != tensor.shape:
            shapes = f"{tuple(got[key].shape)}, not {tuple(tensor.shape)}"
            raise ValueError(f"{what}: its tensor {key} has the shape {shapes}")
        if not bool(torch.isfinite(got[key]).all()):
            raise ValueError(f"{what}: its tensor {key} holds numbers that are not finite")
