"""Weights of the two known implementations, loaded into ours: anomalib's and gathierry/FastFlow's.

Their files are pickles, which are never read here. Where they were made, save the tensors alone:

    state = torch.load("model.ckpt", weights_only=True)            # anomalib keeps them under "state_dict"
    safetensors.torch.save_file({k: v.contiguous() for k, v in state["state_dict"].items()}, "model.safetensors")
"""

import re
from collections.abc import Mapping

from torch import Tensor

from fastflow.checkpoint import require_usable
from fastflow.model import FastFlow
from fastflow.presets import PRESETS, preset

_BLOCKS = re.compile(r"^(?:model\.)?(?:fast_flow_blocks|nf_flows)\.(\d+)\.module_list\.(\d+)\.(.+)$")
_NORMS = re.compile(r"^(?:model\.)?norms\.(\d+)\.(weight|bias)$")
_BACKBONE = re.compile(r"^(?:model\.)?feature_extractor\.(.+)$")

Block = dict[str, Tensor]


def convert(state: Mapping[str, Tensor], *, preset_name: str, image_size: tuple[int, int]) -> FastFlow:
    """A FastFlow with the paper's score that gives equal anomaly maps, up to rounding.

    `preset_name` says the backbone and its layers; flow steps, kernels and hidden width are read off the tensors.

    Raises:
        ValueError: unknown preset, or tensors that are not of such a checkpoint, do not fit the backbone or are not
            finite.
    """
    blocks = _blocks(state)
    norms = {found[1] for key in state if (found := _NORMS.match(key))}
    transformer = PRESETS.get(preset_name, {}).get("final_norm", False)
    config = preset(
        preset_name,
        image_size=image_size,
        flow_steps=1 + max(step for _, step in blocks),
        conv3x3_only=all(_convolutions(block)[0].shape[-1] == 3 for block in blocks.values()),
        hidden_ratio=_hidden_ratio(blocks),
        couplings=1,
        clamp=2.0,
        feature_norm="layer_affine" if norms else "none" if transformer else "layer",
        score="paper",
        conditioner_clip=None,
    )
    model = FastFlow(config)
    _load(model, _translate(state, blocks, model))
    return model.eval()


def _blocks(state: Mapping[str, Tensor]) -> dict[tuple[int, int], Block]:
    """The tensors of each block, by (flow, step)."""
    blocks: dict[tuple[int, int], Block] = {}
    for key, tensor in state.items():
        if found := _BLOCKS.match(key):
            blocks.setdefault((int(found[1]), int(found[2])), {})[found[3]] = tensor
    if (0, 0) not in blocks:
        raise ValueError(
            f"these {len(state)} tensors hold no FastFlow blocks (fast_flow_blocks.* or nf_flows.*); "
            f"the first keys are {list(state)[:3]}"
        )
    return blocks


def _hidden_ratio(blocks: Mapping[tuple[int, int], Block]) -> float:
    """The least ratio that gives every scale's hidden width: int(inputs * ratio) rounds down."""
    shapes = [_convolutions(block)[0].shape for block in blocks.values()]
    return max(hidden / inputs for hidden, inputs, *_ in shapes) + 1e-9


def _convolutions(block: Block) -> list[Tensor]:
    """The subnet's two convolution kernels; other layers between them have no weights."""
    return [block[key] for key in sorted(block) if re.fullmatch(r"subnet\.\d+\.weight", key)]


def _translate(
    state: Mapping[str, Tensor], blocks: Mapping[tuple[int, int], Block], model: FastFlow
) -> dict[str, Tensor]:
    """Their tensors under our names."""
    ours: dict[str, Tensor] = {}
    for (flow, step), block in blocks.items():
        name = f"flows.{flow}.steps.{step}."
        ours |= {name + key: block[key] for key in ("global_scale", "global_offset")}
        # out[i] = sum_j w[i, j] x[j]: row i of the dense matrix says which channel comes to i
        ours[name + "permutation"] = block["w_perm"].flatten(1).argmax(dim=1)
        for kind in ("weight", "bias"):
            keys = [key for key in sorted(block) if re.fullmatch(rf"subnet\.\d+\.{kind}", key)]
            ours |= {f"{name}couplings.0.subnet.{2 * i}.{kind}": block[key] for i, key in enumerate(keys)}
    needed = set(model.backbone.body.state_dict())
    for key, tensor in state.items():
        if found := _NORMS.match(key):
            ours[f"affines.{found[1]}.{found[2]}"] = tensor
        elif (found := _BACKBONE.match(key)) and found[1] in needed:
            ours[f"backbone.body.{found[1]}"] = tensor
    return ours


def _load(model: FastFlow, ours: Mapping[str, Tensor]) -> None:
    kept = {"normal_center", "normal_spread"}  # the paper's score does not use them
    try:
        missing = set(model.load_state_dict(dict(ours), strict=False).missing_keys) - kept
    except RuntimeError as error:
        reasons = str(error).splitlines()
        raise ValueError(f"the tensors do not fit {model.config.backbone}: {reasons[-1].strip()}") from error
    if missing:
        raise ValueError(f"the tensors lack {len(missing)} that {model.config.backbone} needs: {sorted(missing)[:3]}")
    require_usable(model)
