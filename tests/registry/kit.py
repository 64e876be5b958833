"""Checkpoints of a tiny category, registered as an evaluation registers them."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from PIL import Image

from fastflow.checkpoint import save_checkpoint
from fastflow.files import folder_sha256
from pipelines.registry import aliases, store
from pipelines.registry.served_model import load_served
from pipelines.tracking import runs
from pipelines.tracking.sync import sync
from tests.conftest import draw_square, shake, tiny_config
from tests.stages import write_tiny_params

NAME = "fastflow-plates"


def example() -> str:
    file = io.BytesIO()
    Image.fromarray(draw_square(seed=3, defect=False)[0]).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def checkpoint(folder: Path, seed: int, **about: Any) -> Path:
    from fastflow.model import FastFlow

    torch.manual_seed(seed)
    model = FastFlow(tiny_config(flow_steps=1, layers=[1]))
    shake(model.flows, scale=0.02)
    save_checkpoint(model, folder, seed=seed, threshold={"image": 0.5, "pixel": 0.6, "low": 0.1}, **about)
    return folder


def register(path: Path) -> float:
    """Journals the registration of a checkpoint, as an evaluation does; returns its example's score."""
    score = float(load_served(path).predict(pd.DataFrame({"image": [example()]}))["pred_score"].iloc[0])
    with runs.continued_run(folder_sha256(path)[:32], "plates evaluated", tags={}) as run:
        tags = {"example_pred_score": repr(score)}
        run.log_model(path, category="plates", example=example(), tags=tags, description="a card")
    return score


def registered(folder: Path, count: int) -> Iterator[str]:
    """The numbers of so many versions of plates, each once it is in the registry, of a project in `folder`."""
    write_tiny_params(folder)
    for number in range(1, count + 1):
        register(checkpoint(folder / str(number), number))
        sync()
        yield str(number)


def version_of(which: str) -> str | None:
    return aliases.alias(store.connect(), NAME, which)


def champion_scores() -> float:
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    return float(model.predict(pd.DataFrame({"image": [example()]}))["pred_score"].iloc[0])
