"""Models by name: our default, the paper's (FastFlow, arXiv 2111.07677, table 6), weights' tags pinned.

Tags of the paper's models are the weights of its time: timm's plain `resnet18` has since moved to others. Each has our
default score and bound on couplings; the same name with `_paper` has the paper's.
"""

from typing import Any

import timm

from fastflow.backbone import check_name
from fastflow.config import FastFlowConfig

DEFAULT = "efficientnet_lite2"
_FILES: dict[str, Any] = {"letterbox": True, "decoding": 2}
_CNN: dict[str, Any] = _FILES | {"layers": (1, 2, 3), "image_size": (256, 256), "flow_steps": 8}
_VIT: dict[str, Any] = _FILES | {
    "flow_steps": 20,
    "conv3x3_only": False,
    "final_norm": True,
    "feature_norm": "none",
}
_DEIT: dict[str, Any] = _VIT | {
    "backbone": "deit_base_distilled_patch16_384.fb_in1k",
    "layers": (7,),
    "image_size": (384, 384),
}
_CAIT: dict[str, Any] = _VIT | {"backbone": "cait_m48_448.fb_dist_in1k", "layers": (40,), "image_size": (448, 448)}
# The paper counts 14.8 M parameters for both transformers' flows; the known reproduction has 7.1 M.
_PAPER: dict[str, Any] = {"hidden_ratio": 0.167, "couplings": 2}
_REPRODUCTION: dict[str, Any] = {"hidden_ratio": 0.16, "couplings": 1}

# As published: images become squares, no bound on a coupling's input, no log-determinant in the
# score, its maximum.
_PUBLISHED: dict[str, Any] = {"score": "paper", "conditioner_clip": None, "letterbox": False}

# Later transformers, trained without labels: two blocks in the middle.
_DINO: dict[str, Any] = _VIT | {"layers": (5, 8), "flow_steps": 8}

_MODELS: dict[str, dict[str, Any]] = {
    DEFAULT: _CNN | {"backbone": "tf_efficientnet_lite2.in1k", "conv3x3_only": True},
    "resnet18": _CNN | {"backbone": "resnet18.tv_in1k", "conv3x3_only": True},
    "wide_resnet50_2": _CNN | {"backbone": "wide_resnet50_2.tv_in1k", "conv3x3_only": False},
    "deit": _DEIT | _PAPER,
    "deit_reproduction": _DEIT | _REPRODUCTION,
    "cait": _CAIT | _PAPER,
    "cait_reproduction": _CAIT | _REPRODUCTION,
    "dinov2": _DINO | {"backbone": "vit_small_patch14_dinov2.lvd142m", "image_size": (448, 448)},
    "dinov3": _DINO | {"backbone": "vit_small_patch16_dinov3.lvd1689m", "image_size": (512, 512)},
}
PRESETS = _MODELS | {
    f"{name}_paper": _MODELS[name] | _PUBLISHED for name in ("resnet18", "wide_resnet50_2", "deit", "cait")
}


def preset(name: str, /, **overrides: Any) -> FastFlowConfig:
    """The named model; `overrides` replace single fields of `FastFlowConfig`. Pixels' mean and std are those that timm
    has of the backbone, where none are given.

    Raises:
        ValueError: unknown preset, backbone or field, or a value out of range.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is unknown; allowed: {', '.join(PRESETS)}")
    values = PRESETS[name] | overrides
    return FastFlowConfig.from_dict(_pixel_statistics(str(values["backbone"])) | values)


def _pixel_statistics(backbone: str) -> dict[str, Any]:
    check_name(backbone)
    cfg = timm.get_pretrained_cfg(backbone)
    return {} if cfg is None else {"mean": cfg.mean, "std": cfg.std}
