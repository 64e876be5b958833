"""The two known implementations of FastFlow, as their users run them: anomalib, and gathierry/FastFlow's plain step.

Both are built from random weights, with the same backbone, size and flow as ours. anomalib lives in an environment of
its own (see `benchmarks.train`); the other is a script, whose step is rebuilt here from the same blocks (FrEIA).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn

from fastflow.config import FastFlowConfig

Step = Callable[[], object]
NAMES = {"deit_base_distilled_patch16_384.fb_in1k": "deit_base_distilled_patch16_384"}


class Epochs(NamedTuple):
    """Wall seconds: of each epoch with its validation, of its training part, and of what comes once before."""

    epochs: list[float]
    training: list[float]
    setup: float


def name_of(config: FastFlowConfig) -> str:
    """The backbone's name without its weights' tag: the peers know no tags."""
    return config.backbone.partition(".")[0]


def flow_options(config: FastFlowConfig) -> dict[str, Any]:
    return {
        "flow_steps": config.flow_steps,
        "conv3x3_only": config.conv3x3_only,
        "hidden_ratio": config.hidden_ratio,
    }


def anomalib_step(config: FastFlowConfig, images: Tensor) -> Step:
    """One optimiser step of anomalib's model on normalised images (B, 3, H, W): backbone, flow, loss, Adam."""
    from anomalib.models.image.fastflow.loss import FastflowLoss
    from anomalib.models.image.fastflow.torch_model import FastflowModel

    model = FastflowModel(
        input_size=config.image_size, backbone=name_of(config), pre_trained=False, **flow_options(config)
    )
    model.train()
    loss_of = FastflowLoss()
    return _step(model, lambda: loss_of(*model(images)))


def reproduction_step(config: FastFlowConfig, images: Tensor) -> Step:
    """One optimiser step of gathierry/FastFlow's model for CNNs: layer norms with affine, dense permutations."""
    from FrEIA.framework import SequenceINN
    from FrEIA.modules import AllInOneBlock

    backbone = timm.create_model(name_of(config), features_only=True, out_indices=config.layers).eval()
    backbone.requires_grad_(False).to(images.device)
    shapes = [f.shape[1:] for f in backbone(images[:1])]
    norms = nn.ModuleList(nn.LayerNorm(list(shape)) for shape in shapes)
    flows = nn.ModuleList()
    for shape in shapes:
        flow = SequenceINN(*shape)
        for i in range(config.flow_steps):
            kernel = 3 if config.conv3x3_only or i % 2 == 0 else 1
            make = _subnet_maker(config.hidden_ratio, kernel)
            flow.append(AllInOneBlock, subnet_constructor=make, affine_clamping=2.0, permute_soft=False)
        flows.append(flow)
    model = nn.ModuleList([norms, flows]).to(images.device)

    def loss() -> Tensor:
        total = images.new_zeros(())
        for norm, flow, features in zip(norms, flows, backbone(images), strict=True):
            z, log_det = flow(norm(features))
            total = total + torch.mean(0.5 * torch.sum(z**2, dim=(1, 2, 3)) - log_det)
        return total

    return _step(model, loss)


def _subnet_maker(hidden_ratio: float, kernel: int) -> Callable[[int, int], nn.Module]:
    def make(inputs: int, outputs: int) -> nn.Module:
        hidden = int(inputs * hidden_ratio)
        same: dict[str, Any] = {"kernel_size": kernel, "padding": "same"}
        return nn.Sequential(nn.Conv2d(inputs, hidden, **same), nn.ReLU(), nn.Conv2d(hidden, outputs, **same))

    return make


def _step(model: nn.Module, loss: Callable[[], Tensor]) -> Step:
    """Adam at rate 0.001, as both have it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.001, weight_decay=0.00001)

    def step() -> float:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def fit_anomalib(config: FastFlowConfig, folder: Path, *, batch_size: int, epochs: int, scratch: Path) -> Epochs:
    """anomalib's own `Engine.fit` on a category in MVTec AD's layout, validation and workers as shipped."""
    from anomalib.data import MVTecAD
    from anomalib.engine import Engine
    from anomalib.models import Fastflow
    from lightning.pytorch.callbacks import Callback

    class Clock(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.starts: list[float] = []
            self.trained: list[float] = []

        def on_train_epoch_start(self, *_: object) -> None:
            self.starts.append(time.perf_counter())

        def on_validation_start(self, trainer: Any, *_: object) -> None:
            if not trainer.sanity_checking:
                self.trained.append(time.perf_counter())

    begin = time.perf_counter()
    clock = Clock()
    data = MVTecAD(root=folder.parent, category=folder.name, train_batch_size=batch_size, eval_batch_size=batch_size)
    model = Fastflow(backbone=name_of(config), pre_trained=False, **flow_options(config))
    engine = Engine(
        max_epochs=epochs, callbacks=[clock], default_root_dir=scratch, logger=False, accelerator="cpu",
        enable_progress_bar=False,
    )  # fmt: skip
    engine.fit(model=model, datamodule=data)
    ends = [*clock.starts[1:], time.perf_counter()]
    whole = [end - start for start, end in zip(clock.starts, ends, strict=True)]
    training = [end - start for start, end in zip(clock.starts, clock.trained, strict=True)]
    return Epochs(whole, training, clock.starts[0] - begin)
