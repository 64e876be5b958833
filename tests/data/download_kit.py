"""Tiny archives of a data set, and processes that make categories of them."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipelines.core.params import Source
from pipelines.data.data_sets import DATA_SETS, Counts
from pipelines.download import provide
from tests.conftest import ROOT

COUNTS = Counts(train=8, good=4, defective=4, defect_types=1)
TINY = DATA_SETS["mvtec_ad"]._replace(counts={"plates": COUNTS, "tiles": COUNTS})


def start(category: str, source: Source) -> BaseProcess:
    """A process of its own that provides a category; forked, so that twenty of them need not import twenty times."""
    target = Path("data/mvtec_ad") / category
    settings = {"archive": None, "target": target}
    process = get_context("fork").Process(target=provide, args=(TINY, category, source), kwargs=settings)
    process.start()
    return process


def source_of(archive: Path, *mirrors: str) -> Source:
    return Source(sha256=hashlib.sha256(archive.read_bytes()).hexdigest(), mirrors=list(mirrors))


def tree(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


TARGET = Path("data/mvtec_ad/plates")


@contextmanager
def serving(file: Path) -> Iterator[str]:
    """The address of a faulty server in a process of its own."""
    command = [sys.executable, "-m", "tests.data.faulty_server", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
