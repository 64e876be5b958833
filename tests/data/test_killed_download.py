"""Downloads that are killed, and two at once: the next call ends with the whole category."""

import hashlib
import os
import random
import shutil
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from fastflow.errors import BadData
from pipelines import download
from pipelines.download import provide
from tests.data.download_kit import TARGET, TINY, source_of, start, tree

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


@pytest.mark.parametrize("when", ["before the new one is placed", "before the old one is removed"])
def test_killed_while_placing_the_next_call_leaves_one_whole_category(
    folder: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    source = source_of(archive)
    provide(TINY, "plates", source, archive=archive, target=TARGET)
    before = tree(TARGET)
    (TARGET / "test/good/000.png").unlink()
    spoiled, old = tree(TARGET), TARGET.with_name(".plates.old")
    place, name = (Path, "rename") if when.startswith("before the new") else (shutil, "rmtree")
    usual = getattr(place, name)

    def die(*args: Any, **options: Any) -> None:
        if old.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        usual(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, die)
        settings = {"archive": archive, "target": TARGET}
        process = get_context("fork").Process(target=provide, args=(TINY, "plates", source), kwargs=settings)
        process.start()
        process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert tree(old) == spoiled
    assert TARGET.exists() == when.startswith("before the old")
    if when.startswith("before the new"):
        with pytest.raises(BadData, match="absent"):  # what was there is there again, archive or not
            provide(TINY, "plates", source, archive=folder / "absent", target=TARGET)
        assert tree(TARGET) == spoiled
    provide(TINY, "plates", source, archive=archive, target=TARGET)
    assert tree(TARGET) == before
    assert [p.name for p in TARGET.parent.iterdir()] == ["plates"]


def test_two_at_once_of_one_category_both_end_well(folder: Path, archive: Path, server: str) -> None:
    both = [start("plates", source_of(archive, f"{server}/slow")) for _ in range(2)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(tree(TARGET)) == 22


def test_killed_at_twenty_seeded_points_the_next_call_ends_with_the_right_tree(
    folder: Path, archive: Path, server: str
) -> None:
    """Each call starts from what the killed ones before it left; none leaves half a category, or a wrong archive."""
    source = source_of(archive, f"{server}/slow")
    begin = time.monotonic()
    start("plates", source).join(120)
    seconds = time.monotonic() - begin
    reference = tree(TARGET)
    assert len(reference) == 22
    stored = download.ARCHIVES / f"{source.sha256}.tar"
    rng = random.Random(0)
    killed, turn = 0, 0
    while killed < 20 and turn < 60:
        turn += 1
        shutil.rmtree(TARGET, ignore_errors=True)
        if turn % 2:
            stored.unlink(missing_ok=True)
        process = start("plates", source)
        time.sleep(rng.uniform(0, 1) * (seconds if turn % 2 else seconds - 0.5))
        process.kill()
        process.join(120)
        killed += process.exitcode == -signal.SIGKILL
        assert not TARGET.exists() or tree(TARGET) == reference
        assert not stored.exists() or hashlib.sha256(stored.read_bytes()).hexdigest() == source.sha256
    start("plates", source).join(120)
    assert tree(TARGET) == reference
    assert killed == 20
    assert [p.name for p in TARGET.parent.iterdir()] == ["plates"]


def test_two_at_once_share_one_download(folder: Path, archive: Path, server: str) -> None:
    both = [start(category, source_of(archive, f"{server}/slow")) for category in TINY.counts]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(tree(TARGET)) == len(tree(TARGET.with_name("tiles"))) == 22
