"""What several tests of score files share."""

from pathlib import Path

import pytest

from tests.scoring.region_kit import SHAPES, Run, score, write_photographs


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`fastflow score` on photographs in a folder without params.yaml."""
    monkeypatch.chdir(write_photographs(folder / "line"))
    names = [f"{name}.png" for name in SHAPES]
    return lambda *words, images=names, **more: score(monkeypatch, *images, *words, **more)
