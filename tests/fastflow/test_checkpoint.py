"""A checkpoint holds all that prediction needs, and a flipped bit is refused."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fastflow import checkpoint
from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.model import FastFlow
from fastflow.sealed import BACKBONE, CONFIG, FLOW, BadCheckpoint, read_config, sealed
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


def test_what_a_killed_save_left_is_no_file_of_the_next(tiny_model: FastFlow, tmp_path: Path) -> None:
    (left := tmp_path / ".model.part").mkdir()
    (left / "normal_scores.json").write_text("of another model")
    save_checkpoint(tiny_model, tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {BACKBONE, CONFIG, FLOW}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_checkpoint_says_what_it_was_given_and_lists_each_file(tiny_model: FastFlow, tmp_path: Path) -> None:
    hashes = save_checkpoint(tiny_model, tmp_path / "m", files={"normal.json": b"[1]"}, category="plates", seed=3)
    config = json.loads((tmp_path / "m" / CONFIG).read_text())
    assert (config["model"], config["category"], config["seed"]) == (
        json.loads(json.dumps(tiny_model.config.to_dict())), "plates", 3,
    )  # fmt: skip
    assert (tmp_path / "m" / "normal.json").read_bytes() == b"[1]"
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "m").iterdir() if p.name != CONFIG}
    assert found == hashes == config["sha256"]
    assert set(found) == {FLOW, BACKBONE, "normal.json"}


def test_weights_lie_by_their_names_in_two_files(tiny_model: FastFlow, folder: Path) -> None:
    state = tiny_model.state_dict()
    backbone, flow = load_file(folder / BACKBONE), load_file(folder / FLOW)
    assert {f"backbone.{name}" for name in backbone} | set(flow) == set(state)
    assert not [name for name in flow if name.startswith("backbone.")]
    for name, value in {**flow, **{f"backbone.{name}": one for name, one in backbone.items()}}.items():
        assert torch.equal(value, state[name]), name


def test_a_loaded_model_is_for_evaluation_and_held_to_its_sha256(folder: Path) -> None:
    known = hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()
    assert not load_checkpoint(folder, about=read_config(folder, sha256=known)).training
    with pytest.raises(BadCheckpoint, match="not the one asked for"):
        read_config(folder, sha256="0" * 64)


def test_a_save_that_fails_leaves_the_older_one_and_no_part(
    tiny_model: FastFlow, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder.parent / f".{folder.name}.part").mkdir()  # left by a kill
    (folder.parent / f".{folder.name}.part" / "stale").touch()

    def full(path: Path, text: str) -> None:
        raise OSError(28, "no space", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_text", full)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(tiny_model, folder, category="gears")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(folder.parent.iterdir()) == [folder]
    save_checkpoint(tiny_model, folder, category="gears")
    assert sorted(path.name for path in folder.iterdir()) == [BACKBONE, CONFIG, FLOW]


def rewritten(folder: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    """As one does who can seal the folder anew."""
    save_file(tensors, folder / name)
    config = json.loads((folder / CONFIG).read_text())
    config["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / CONFIG).write_text(sealed(config))


@pytest.mark.parametrize("change", ["shape", "missing", "strange", "nan", "narrow", "no safetensors"])
def test_weights_that_make_no_usable_model_are_refused(folder: Path, change: str) -> None:
    tensors = load_file(folder / FLOW)
    name = next(iter(tensors))
    if change == "shape":
        tensors[name] = torch.zeros(1, 2, 3)
    elif change == "missing":
        del tensors[name]
    elif change == "strange":
        tensors["strange"] = torch.zeros(1)
    elif change == "nan":
        tensors["normal_center"].view(-1)[-1] = torch.nan
    elif change == "narrow":
        tensors["normal_spread"].view(-1)[-1] = 0.0
    rewritten(folder, FLOW, tensors)
    if change == "no safetensors":
        (folder / FLOW).write_bytes(b"pickled")
        config = json.loads((folder / CONFIG).read_text())
        config["sha256"][FLOW] = hashlib.sha256(b"pickled").hexdigest()
        (folder / CONFIG).write_text(sealed(config))
    with pytest.raises(BadCheckpoint, match=rf"{folder} holds no model that can be used \(.+\); restore it or train"):
        load_checkpoint(folder)


def test_a_backbone_may_hold_layers_past_the_last_needed_one(folder: Path) -> None:
    rewritten(folder, BACKBONE, load_file(folder / BACKBONE) | {"layer9.weight": torch.zeros(1)})
    load_checkpoint(folder)
    tensors = load_file(folder / BACKBONE)
    del tensors[max(name for name in tensors if name != "layer9.weight")]
    rewritten(folder, BACKBONE, tensors)
    with pytest.raises(BadCheckpoint, match="holds no model that can be used"):
        load_checkpoint(folder)


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_the_tensor_that_is_not_finite_is_named(number: float) -> None:
    checkpoint.require_finite({"a": torch.tensor([1.0]), "b": torch.tensor([1, 2])})
    with pytest.raises(ValueError, match="tensor b holds numbers that are not finite"):
        checkpoint.require_finite({"a": torch.tensor([1.0]), "b": torch.tensor([1.0, number])})


@pytest.mark.parametrize("width", [0.0, -1.0, torch.nan])
def test_a_model_whose_normal_range_has_no_width_is_not_saved(
    tiny_model: FastFlow, tmp_path: Path, width: float
) -> None:
    checkpoint.require_usable(tiny_model)
    tiny_model.normal_spread[-1] = width
    with pytest.raises(ValueError, match=r"allowed: numbers above 0|normal_spread holds numbers that are not finite"):
        save_checkpoint(tiny_model, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
