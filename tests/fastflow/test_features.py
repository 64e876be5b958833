"""The features of a training: those of its own images, size, backbone and weights, wherever they are kept."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fastflow.augment import augment, augmented_features
from fastflow.data import Pictures, read_pictures
from fastflow.features import FeatureStorage, extract_features, features_of
from fastflow.model import FastFlow
from tests.conftest import ROOT, tiny_config

CPU = torch.device("cpu")


def paths_of(plates: Path) -> list[Path]:
    return sorted((plates / "train/good").iterdir())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mapped", [False, True])
def test_kept_features_are_those_of_each_image_alone(
    plates: Path, tmp_path: Path, tiny_model: FastFlow, dtype: torch.dtype, mapped: bool
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    storage = FeatureStorage(dtype, memory_bytes=0 if mapped else None, folder=scratch)
    kept = extract_features(tiny_model, paths_of(plates), batch_size=3, device=CPU, storage=storage)
    assert all(f.dtype == dtype for f in kept)
    assert not list(scratch.iterdir()), "the file has no name: nobody else can take it for theirs"
    for i, path in enumerate(paths_of(plates)):
        alone = tiny_model.extract(read_pictures([path], tiny_model.frame).images)
        for got, expected in zip(features_of(kept, torch.tensor([i]), device=CPU), alone, strict=True):
            assert got.dtype == torch.float32
            tolerance = 1e-4 if dtype == torch.float32 else 2**-7
            torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def test_a_second_use_with_other_weights_size_or_images_shares_nothing(plates: Path, tmp_path: Path) -> None:
    """All four use one scratch folder while the others' features are still alive."""
    storage = FeatureStorage(memory_bytes=0, folder=tmp_path)
    paths = paths_of(plates)
    torch.manual_seed(1)
    first = FastFlow(tiny_config())
    torch.manual_seed(2)
    others = [FastFlow(tiny_config()), FastFlow(tiny_config(backbone="resnet10t")), first]
    kept = extract_features(first, paths, batch_size=4, device=CPU, storage=storage)
    before = [f.clone() for f in kept]
    for model, images in zip(others, (paths, paths, paths[::-1]), strict=True):
        other = extract_features(model, images, batch_size=4, device=CPU, storage=storage)
        assert not torch.allclose(other[0], kept[0], atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, kept, strict=True))


def test_a_killed_training_leaves_no_features_behind(plates: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time, torch; from pathlib import Path\n"
        "from fastflow.features import FeatureStorage, extract_features\n"
        "from fastflow.model import FastFlow; from tests.conftest import tiny_config\n"
        "paths = sorted(Path(sys.argv[1]).iterdir())\n"
        "kept = extract_features(FastFlow(tiny_config()), paths, batch_size=2, device=torch.device('cpu'),\n"
        "    storage=FeatureStorage(memory_bytes=0, folder=Path(sys.argv[2])))\n"
        "print('kept', flush=True); time.sleep(60)\n"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", script, str(plates / "train/good"), str(scratch)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "kept\n"
    maps = Path(f"/proc/{process.pid}/maps")
    assert not maps.is_file() or "(deleted)" in maps.read_text(), "mapped, and without a name already"
    process.send_signal(signal.SIGKILL)
    process.wait(120)
    process.stdout.close()
    time.sleep(0.1)
    assert not list(scratch.iterdir())


def test_a_full_disk_is_an_error_and_not_a_crash(
    plates: Path, tmp_path: Path, tiny_model: FastFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    storage = FeatureStorage(memory_bytes=0, folder=tmp_path / "plates")
    with pytest.raises(OSError, match=r"No space left on device; 1 MB are needed"):
        extract_features(tiny_model, paths_of(plates), batch_size=3, device=CPU, storage=storage)


def test_augmented_images_are_flips_and_turns_and_all_come_up() -> None:
    image = torch.arange(12, dtype=torch.uint8).view(1, 3, 2, 2)
    every = {f.contiguous().numpy().tobytes() for k in range(4) for f in (image.rot90(k, (2, 3)),)}
    every |= {f.contiguous().numpy().tobytes() for k in range(4) for f in (image.flip(3).rot90(k, (2, 3)),)}
    generator = torch.Generator().manual_seed(0)
    drawn = augment(image.expand(200, 3, 2, 2), ["hflip", "vflip", "rot90"], generator)
    assert {d[None].contiguous().numpy().tobytes() for d in drawn} == every
    flips = augment(image.expand(200, 3, 2, 2), ["hflip"], generator)
    same = sum(torch.equal(f, image[0]) for f in flips)
    assert all(torch.equal(f, image[0]) or torch.equal(f, image[0].flip(2)) for f in flips)
    assert 60 < same < 140
    assert torch.equal(augment(image, [], generator), image)


def test_augmented_features_are_those_of_the_augmented_images(plates: Path, tiny_model: FastFlow) -> None:
    pictures = read_pictures(paths_of(plates), tiny_model.frame)
    features = augmented_features(tiny_model, pictures, ["hflip", "rot90"], batch_size=2)
    rows = torch.tensor([5, 0, 3])
    found = features(rows, torch.Generator().manual_seed(3))
    expected = tiny_model.extract(augment(pictures.images[rows], ["hflip", "rot90"], torch.Generator().manual_seed(3)))
    for got, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def blank(height: int, width: int) -> Pictures:
    return Pictures(torch.zeros(1, 3, height, width), torch.tensor([[height, width]]), [(height, width)])


def test_augmentations_that_cannot_be_are_refused(tiny_model: FastFlow) -> None:
    with pytest.raises(ValueError, match=r"\['blur'\] are unknown; allowed: hflip, vflip, rot90"):
        augmented_features(tiny_model, blank(8, 8), ["blur"], batch_size=1)
    with pytest.raises(ValueError, match="needs square images; the model's are 8x6"):
        augmented_features(tiny_model, blank(8, 6), ["rot90"], batch_size=1)
