"""Model folders: config.json and its seal, export.json, the files beside the weights, the states of a training.

Someone who can write every file can seal anew (SECURITY.md), so the fields are tried behind a valid seal, too.
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.config import FastFlowConfig
from fastflow.export.about import ABOUT, read_about, verify, write_about
from fastflow.files import file_sha256
from fastflow.frame import Frame
from fastflow.model import FastFlow
from fastflow.resume import SavedStates
from fastflow.sealed import CONFIG, FLOW, read_config, sealed
from fastflow.weights import load_weights
from pipelines.core.training_files import experiment_of, normal_table, run_key_of
from tests.conftest import THRESHOLD, tiny_config
from tests.fuzz.kit import fuzz, read_or_refused
from tests.fuzz.mutants import files, json_files, mutated_tree, text

RUN = {"run_key": "abc-1", "dvc_experiment": ""}
SCORES = {
    "image_path": ["a.png", "b.png"],
    "sha256": ["0" * 64, "1" * 64],
    "pred_score": [0.5, 1.5],
    "contrast": [3, 4],
}
BESIDE = {"run.json": RUN, "normal_scores.json": SCORES}


def all_finite(value: Any) -> bool:
    """Whether no number in a document is NaN or infinite."""
    if isinstance(value, dict):
        return all(map(all_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(all_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "plates"
    beside = {name: json.dumps(content).encode() for name, content in BESIDE.items()}
    save_checkpoint(FastFlow(tiny_config()), folder, files=beside, category="plates", seed=0, threshold=THRESHOLD)
    return folder


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"a model")
    write_about(
        folder, runtime="onnx", precision="fp32", category="plates", model="1", frame=Frame(64, 64),
        threshold=THRESHOLD,
    )  # fmt: skip
    return folder


def resealed(content: bytes) -> bytes:
    """A description as one writes it who can seal it; what is no description stays."""
    try:
        about = json.loads(content)
        return sealed(about).encode() if isinstance(about, dict) else content
    except (ValueError, RecursionError):
        return content


def descriptions(file: Path) -> SearchStrategy[bytes]:
    """Of a model folder: changed, and changed behind a new seal."""
    valid = json.loads(file.read_bytes())
    return st.one_of(json_files(valid), mutated_tree(valid).map(lambda value: resealed(text(value).encode())))


def test_config_json(checkpoint: Path) -> None:
    file = checkpoint / CONFIG

    def check(content: bytes) -> None:
        file.write_bytes(content)
        found = read_or_refused(lambda: read_config(checkpoint), file)
        if found is not None:
            assert all_finite(found.get("threshold"))

    fuzz("config.json and its seal", descriptions(file), check)


def test_the_config_in_it() -> None:
    valid = tiny_config(value_range=(0.0, 4095.0), page=2).to_dict()

    def check(value: Any) -> None:
        try:
            values = json.loads(text(value))
        except (ValueError, RecursionError):
            return
        found = read_or_refused(lambda: FastFlowConfig.from_dict(values), "model")
        if found is not None:
            assert all_finite(found.to_dict())
            assert 1 <= min(found.image_size) <= max(found.image_size) <= 8192
            assert 1 <= found.flow_steps <= 100

    fuzz("FastFlowConfig", mutated_tree(valid), check)


def test_export_json(export: Path) -> None:
    file = export / ABOUT

    def check(content: bytes) -> None:
        file.write_bytes(content)

        def read() -> dict[str, Any]:
            about = read_about(export)
            verify(export, about)
            return about

        found = read_or_refused(read, export)
        if found is not None:
            assert all_finite(found["threshold"])
            assert found["sha256"] == {"model.onnx": file_sha256(export / "model.onnx")}

    fuzz("export.json and its seal", descriptions(file), check)


@pytest.mark.parametrize(
    ("name", "read"), [("run.json", run_key_of), ("run.json", experiment_of), ("normal_scores.json", normal_table)]
)
def test_what_lies_beside_the_weights(checkpoint: Path, name: str, read: Callable[[Path], Any]) -> None:
    about = json.loads((checkpoint / CONFIG).read_bytes())

    def check(content: bytes) -> None:
        (checkpoint / name).write_bytes(content)
        about["sha256"][name] = file_sha256(checkpoint / name)
        (checkpoint / CONFIG).write_text(sealed(about))
        assert all_finite(read_or_refused(lambda: read(checkpoint), checkpoint / name))

    fuzz(f"{name}, {read.__name__}", json_files(BESIDE[name]), check)


def test_weights_behind_a_new_seal(checkpoint: Path) -> None:
    about = json.loads((checkpoint / CONFIG).read_bytes())
    valid = (checkpoint / FLOW).read_bytes()
    head = 8 + int.from_bytes(valid[:8], "little")

    def check(start: bytes) -> None:
        (checkpoint / FLOW).write_bytes(start + valid[head:])
        about["sha256"][FLOW] = file_sha256(checkpoint / FLOW)
        (checkpoint / CONFIG).write_text(sealed(about))
        read_or_refused(lambda: load_checkpoint(checkpoint), checkpoint)

    fuzz("flow.safetensors", files(valid[:head]), check, count=10)


def test_a_file_of_weights(tmp_path: Path) -> None:
    from safetensors.torch import save

    backbone = FastFlow(tiny_config()).backbone
    file = tmp_path / "weights.safetensors"
    valid = save({key: value.contiguous() for key, value in backbone.body.state_dict().items()})
    head = 8 + int.from_bytes(valid[:8], "little")

    def check(start: bytes) -> None:
        file.write_bytes(start + valid[head:])
        read_or_refused(lambda: load_weights(backbone, str(file)), file)

    fuzz("a file of weights", files(valid[:head]), check, count=10)


def test_states_of_a_training(tmp_path: Path) -> None:
    states = SavedStates(tmp_path / "states", key="k")
    states.save({"step": torch.arange(3)}, step=1)
    (first,) = states.folder.iterdir()
    name, valid = first.name, first.read_bytes()

    def check(content: bytes) -> None:
        shutil.rmtree(states.folder, ignore_errors=True)
        states.folder.mkdir()
        (states.folder / name).write_bytes(content)
        found = states.load()
        assert found is None or found["step"].tolist() == [0, 1, 2]

    fuzz("states of a training", files(valid), check)


@pytest.mark.parametrize(
    ("name", "value"), [("mean", [10**400, 0, 0]), ("value_range", [0, 10**400]), ("clamp", 10**400)]
)
def test_an_integer_that_no_float_can_hold_is_out_of_range(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"model: {name} is .*; allowed: "):
        tiny_config(**{name: value})


def test_no_number_of_a_threshold_is_nan_whatever_its_name(checkpoint: Path) -> None:
    about = json.loads((checkpoint / CONFIG).read_bytes())
    about["threshold"]["max_miss"] = math.nan
    (checkpoint / CONFIG).write_text(sealed(about))
    with pytest.raises(ValueError, match=r"config\.json: threshold: max_miss is nan; allowed: a finite number"):
        read_config(checkpoint)
