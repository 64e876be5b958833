"""Full disks, limits, flipped bits, NaN: one sentence, the right exit code, and what was there before stays whole."""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fastflow.checkpoint import load_checkpoint, save_checkpoint
from fastflow.errors import NonFiniteLoss
from fastflow.files import require_space, write_bytes
from fastflow.model import FastFlow
from fastflow.sealed import BadCheckpoint
from fastflow.train import Training
from pipelines.core.stage import BAD_DATA, FAILED, SERVER_AWAY
from tests.conftest import tiny_config
from tests.faults.kit import LOG, SERVER, finished, model_hash, run_stage, write_project

MODEL_FILES = ("flow.safetensors", "backbone.safetensors", "config.json", "normal_scores.json", "run.json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trained model."""
    folder = tmp_path_factory.mktemp("trained")
    write_project(folder)
    assert finished("prepare", folder) == 0
    assert finished("train", folder) == 0, (folder / LOG).read_text()
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "project", ignore=shutil.ignore_patterns(LOG.name)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_reported_in_megabytes_and_the_old_file_stays(small_disk: Path) -> None:
    write_bytes(small_disk / "file", b"old")
    with pytest.raises(OSError, match=r"file cannot be written.*2 MB are needed, 1 MB are free") as raised:
        write_bytes(small_disk / "file", bytes(2_000_000))
    assert raised.value.errno == errno.ENOSPC
    assert [(p.name, p.read_bytes()) for p in small_disk.iterdir()] == [("file", b"old")]
    with pytest.raises(OSError, match=r"a model will not fit; 5 MB are needed, 1 MB are free"):
        require_space(small_disk, 5_000_000, "a model")


def test_a_checkpoint_that_does_not_fit_leaves_the_older_one(small_disk: Path, tiny_model: FastFlow) -> None:
    (small_disk / "model").mkdir()
    (small_disk / "model/old").write_bytes(b"old")
    with pytest.raises(OSError, match="MB are needed"):
        save_checkpoint(tiny_model, small_disk / "model")
    assert [p.relative_to(small_disk).as_posix() for p in small_disk.rglob("*")] == ["model", "model/old"]


def test_a_device_that_is_full_is_reported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"old")
    opened = os.open

    def of_full_device(path: Path, flags: int, mode: int = 0o777) -> int:
        return opened("/dev/full", os.O_WRONLY) if str(path).endswith(".part") else opened(path, flags, mode)

    monkeypatch.setattr(os, "open", of_full_device)
    with pytest.raises(OSError, match="No space left on device"):
        write_bytes(tmp_path / "file", bytes(100_000))
    assert (tmp_path / "file").read_bytes() == b"old"


def limited(stage: str, folder: Path, size: int) -> None:
    """Body of a process that may write no file larger than `size` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    run_stage(stage, folder)


@pytest.mark.slow
def test_a_training_that_may_not_write_its_model_keeps_the_old_one(project: Path) -> None:
    before = model_hash(project)
    process = SERVER.Process(target=limited, args=("train", project, 400_000))
    process.start()
    process.join(120)
    said = (project / LOG).read_text()
    assert process.exitcode == SERVER_AWAY, said
    assert "error: " in said
    assert "MB are needed" in said
    assert "Traceback" not in said
    assert model_hash(project) == before
    load_checkpoint(project / "models/plates")
    assert not list(project.rglob(".*.part"))


def test_a_flipped_bit_in_any_file_of_a_model_is_found(trained: Path, tmp_path: Path) -> None:
    from fastflow.sealed import read_sealed

    for name in MODEL_FILES:
        for place in (0.1, 0.5, 0.9):
            folder = tmp_path / f"{name}-{place}"
            shutil.copytree(trained / "models/plates", folder)
            flip(folder / name, place)
            with pytest.raises(BadCheckpoint, match=rf"{name}.* is damaged"):
                (read_sealed(folder, name) if name in ("normal_scores.json", "run.json") else load_checkpoint(folder))


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["images/plates/train/good/003.png", "data/prepared/plates.csv"])
def test_a_flipped_bit_in_an_image_or_the_index_ends_a_training_before_it_begins(project: Path, file: str) -> None:
    before = model_hash(project)
    flip(project / file, 0.6)
    assert finished("train", project) == BAD_DATA
    said = (project / LOG).read_text()
    assert Path(file).name in said
    assert "prepare@" in said
    assert "images, features" not in said
    assert model_hash(project) == before


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_the_training_and_names_images(project: Path) -> None:
    before = model_hash(project)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.004", "learning_rate: 1000000000.0"))
    assert finished("train", project) == FAILED
    said = (project / LOG).read_text()
    assert "lower train.learning_rate" in said
    assert "it came with train/good/" in said
    assert model_hash(project) == before


def test_the_image_whose_features_are_not_finite_is_named() -> None:
    torch.manual_seed(0)
    features = [torch.randn(6, 64, 16, 16), torch.randn(6, 128, 8, 8)]
    features[1][4, 7, 3, 3] = torch.nan
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 3, "learning_rate": 0.001, "weight_decay": 0.0, "seed": 0}
    with pytest.raises(NonFiniteLoss) as raised:
        list(Training(FastFlow(tiny_config()), torch.arange(len(features[0])), **settings).run(features))
    assert raised.value.rows == [4]
