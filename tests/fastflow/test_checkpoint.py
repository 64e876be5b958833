"""A checkpoint holds all that prediction needs, and a flipped bit is refused."""

import json
from pathlib import Path

import pytest
import torch

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.model import FastFlow
from fastflow.sealed import BACKBONE, CONFIG, FLOW, BadCheckpoint
from tests.conftest import SIZE, shake, tiny_config


@pytest.fixture
def folder(tiny_model: FastFlow, tmp_path: Path) -> Path:
    shake(tiny_model.flows, scale=0.02)
    save_checkpoint(tiny_model, tmp_path / "model", category="plates")
    return tmp_path / "model"


def test_loaded_model_predicts_equally_and_keeps_the_random_state(tiny_model: FastFlow, folder: Path) -> None:
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    expected = tiny_model(images)
    state = torch.get_rng_state()
    loaded = load_checkpoint(folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(loaded(images).anomaly_map, expected.anomaly_map)
    assert loaded.config == tiny_model.config


def test_equal_models_give_equal_bytes(tiny_model: FastFlow, tmp_path: Path) -> None:
    first = save_checkpoint(tiny_model, tmp_path / "a")
    assert save_checkpoint(tiny_model, tmp_path / "b") == first
    assert (tmp_path / "a" / FLOW).read_bytes() == (tmp_path / "b" / FLOW).read_bytes()


@pytest.mark.parametrize("name", [FLOW, BACKBONE])
@pytest.mark.parametrize("where", [0.3, 0.999])
def test_one_flipped_bit_is_refused_with_file_and_both_hashes(folder: Path, name: str, where: float) -> None:
    data = bytearray((folder / name).read_bytes())
    data[int(where * len(data))] ^= 1
    (folder / name).write_bytes(data)
    recorded = json.loads((folder / CONFIG).read_text())["sha256"][name]
    with pytest.raises(
        BadCheckpoint, match=rf"{name} is damaged: its sha256 is [0-9a-f]{{64}}, recorded was {recorded}"
    ):
        load_checkpoint(folder)


def test_missing_and_damaged_files_are_named(folder: Path) -> None:
    (folder / BACKBONE).unlink()
    with pytest.raises(BadCheckpoint, match=rf"{BACKBONE} is missing"):
        load_checkpoint(folder)
    (folder / CONFIG).write_text("{")
    with pytest.raises(BadCheckpoint, match=rf"{CONFIG} is damaged"):
        load_checkpoint(folder)
    with pytest.raises(BadCheckpoint, match="is not a checkpoint"):
        load_checkpoint(folder.parent / "nothing")


def test_saving_replaces_an_older_checkpoint_whole(folder: Path) -> None:
    (folder / "stale.txt").write_text("from an older training")
    save_checkpoint(FastFlow(tiny_config(flow_steps=1)), folder)
    assert sorted(p.name for p in folder.iterdir()) == [BACKBONE, CONFIG, FLOW]
    assert load_checkpoint(folder).config.flow_steps == 1
