"""A training killed at random moments ends, with the same command, as if nothing had been: the same bits."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import FULL
from tests.faults.kit import LOG, MODEL, Watch, finished, model_hash, start, write_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, float]:
    """A prepared project, the hash of its uninterrupted model, and the seconds that took."""
    folder = tmp_path_factory.mktemp("reference")
    write_project(folder)
    assert finished("prepare", folder) == 0
    seconds = 0.0
    hashes = set()
    for _ in range(2):
        begin = time.monotonic()
        assert finished("train", folder) == 0, (folder / LOG).read_text()
        seconds = time.monotonic() - begin
        hashes.add(model_hash(folder))
    assert len(hashes) == 1, "two uninterrupted trainings differ: nothing can be proved"
    assert not (folder / ".state/plates").exists()
    shutil.rmtree(folder / "models")
    return folder, hashes.pop(), seconds


TIMES = {signal.SIGKILL: (8, 30), signal.SIGTERM: (4, 10), signal.SIGINT: (4, 10)}


@pytest.mark.parametrize("number", TIMES, ids=lambda number: number.name)
def test_every_rerun_ends_with_the_bits_of_the_uninterrupted_one(
    reference: tuple[Path, str, float], tmp_path: Path, number: signal.Signals
) -> None:
    (source, expected, seconds), times = reference, TIMES[number][FULL]
    rng = random.Random(int(number))
    landed = resumed = 0
    for turn in range(3 * times):
        if landed == times:
            break
        folder = tmp_path / str(turn)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(LOG.name))
        process = start("train", folder)
        if turn % 2:  # at any moment after its first state; else at any moment at all
            states = folder / ".state/plates/model"
            while process.is_alive() and not list(states.glob("[0-9]*.safetensors")):
                time.sleep(0.005)
        time.sleep(rng.uniform(0, seconds / (3 if turn % 2 else 1)))
        assert process.pid is not None
        if process.is_alive():
            os.kill(process.pid, number)
        process.join(60)
        interrupted = process.exitcode != 0
        landed += interrupted
        if interrupted:
            said = (folder / LOG).read_text() if (folder / LOG).exists() else ""
            in_course = number == signal.SIGKILL or "images, features" in said
            assert process.exitcode == CODES[number] or not in_course, (process.exitcode, said)
            assert not (folder / MODEL).exists() or model_hash(folder) == expected
        assert finished("train", folder) == 0, (folder / LOG).read_text()
        assert model_hash(folder) == expected
        said = (folder / LOG).read_text()
        if "resuming after step" in said:
            resumed += 1
            if number != signal.SIGKILL:  # what it had not saved is done, and logged, again
                assert re.findall(r"^epoch (\d)/3", said, re.MULTILINE) == ["1", "2", "3"]
        assert not (folder / ".state/plates").exists()
        shutil.rmtree(folder)
    assert landed == times
    assert resumed >= times / 4, f"only {resumed} were resumed: most kills fell before the first state"


def test_another_seed_or_image_starts_anew_and_says_so(reference: tuple[Path, str, float], tmp_path: Path) -> None:
    source, expected, _ = reference
    folder = tmp_path / "changed"
    shutil.copytree(source, folder)
    kill_within_course(folder)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 0", "seed: 1"))
    assert finished("train", folder) == 0
    said = (folder / LOG).read_text()
    assert "is of another training" in said
    assert "resuming after step" not in said
    assert model_hash(folder) != expected


def test_damaged_and_torn_states_are_passed_over(reference: tuple[Path, str, float], tmp_path: Path) -> None:
    """One flipped bit in the newest state: the one before it is taken, and the end is the same."""
    source, expected, _ = reference
    folder = tmp_path / "flipped"
    shutil.copytree(source, folder)
    kill_within_course(folder)
    states = sorted((folder / ".state/plates/model").glob("[0-9]*.safetensors"))
    assert len(states) == 2
    content = bytearray(states[-1].read_bytes())
    content[len(content) // 2] ^= 1
    states[-1].write_bytes(content)
    (states[-1].with_name(".00000099.abc.safetensors.part")).write_bytes(content[:1000])
    assert finished("train", folder) == 0, (folder / LOG).read_text()
    said = (folder / LOG).read_text()
    assert "is damaged; going back to the state before it" in said
    assert "resuming after step" in said
    assert model_hash(folder) == expected


def test_two_at_once_take_turns(reference: tuple[Path, str, float], tmp_path: Path) -> None:
    source, expected, _ = reference
    folder = tmp_path / "both"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(LOG.name))
    watch = Watch(folder)
    watch.start()
    both = [start("train", folder) for _ in range(2)]
    for process in both:
        process.join(120)
    watch.over.set()
    watch.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert watch.most == 1
    assert f"waiting for process {both[0].pid} " in (folder / LOG).read_text() or (
        f"waiting for process {both[1].pid} " in (folder / LOG).read_text()
    )
    assert model_hash(folder) == expected


def kill_within_course(folder: Path) -> None:
    """Ends a training with SIGKILL once its model has two states, and is not done."""
    process = start("train", folder)
    end = time.monotonic() + 60
    while len(list((folder / ".state/plates/model").glob("[0-9]*.safetensors"))) < 2 and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
