"""Print the table of docs/backbones.md: presets and further timm backbones, their parameters and work per image.

    python -m benchmarks.backbones

Shapes and work are counted on meta tensors: no weights, no download, seconds on any machine. GFLOP = 2 x MAC of one
forward pass, backbone cut at its last needed layer; training a flow on cached features costs three times its share.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from fastflow.config import FastFlowConfig
from fastflow.model import FastFlow
from fastflow.presets import PRESETS, preset

# What a person may try: stages of strides 4 to 16, or blocks in the middle of a transformer.
FURTHER = {
    name: FastFlowConfig(backbone=name, layers=layers, image_size=size, conv3x3_only=False)
    for name, layers, size in (
        ("resnet34.tv_in1k", (1, 2, 3), (256, 256)),
        ("convnext_tiny.fb_in1k", (0, 1, 2), (256, 256)),
        ("efficientnet_b0.ra_in1k", (1, 2, 3), (256, 256)),
        ("mobilenetv2_100.ra_in1k", (1, 2, 3), (256, 256)),
        ("regnety_016.tv2_in1k", (0, 1, 2), (256, 256)),
        ("swin_tiny_patch4_window7_224.ms_in1k", (0, 1, 2), (224, 224)),
    )
}
HEAD = ("backbone", "layers", "image size", "features", "backbone M", "flow M", "backbone GFLOP", "flow GFLOP")


def row(name: str, config: FastFlowConfig) -> tuple[object, ...]:
    """One line of the table; the flow's share counts all its scales."""
    # a plain transformer's shapes are arithmetic, a CNN's are measured at build: both on the CPU, then no data
    model = FastFlow(config).to("meta")
    images = torch.empty(1, 3, *config.image_size, device="meta")
    with FlopCounterMode(display=False) as backbone_work:
        features = model.backbone(images)
    with FlopCounterMode(display=False) as flow_work, torch.no_grad():
        model.latents(features)
    maps = ", ".join("x".join(map(str, f.shape[1:])) for f in features)
    return (
        f"`{name}`",
        ", ".join(map(str, config.layers)),
        "x".join(map(str, config.image_size)),
        maps,
        f"{_millions(model.backbone):.1f}",
        f"{_millions(model.flows):.1f}",
        f"{backbone_work.get_total_flops() / 1e9:.1f}",
        f"{flow_work.get_total_flops() / 1e9:.1f}",
    )


def _millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def main() -> None:
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    configs = {name: preset(name) for name in PRESETS if not name.endswith("_paper")} | FURTHER
    for name, config in configs.items():
        print(f"| {' | '.join(map(str, row(name, config)))} |", flush=True)


if __name__ == "__main__":
    main()
