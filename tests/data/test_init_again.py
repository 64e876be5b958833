"""init again, after a refusal, or beside another one: no option, no copy and no correction of a person is lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.errors import BadData
from fastflow.pixels.meaning import PixelRule
from fastflow.sources import Sources
from pipelines.core.params import read_params
from pipelines.core.params_edit import write_values
from pipelines.data.add_category import init
from pipelines.data.layouts.reading import ReadingOptions
from tests.conftest import ROOT
from tests.data.folders import bad, good

OWN = Path("data/own")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def deep(folder: Path, count: int = 6) -> None:
    """Good photographs of 16 bits that hold 12."""
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(300, 2400, (24, 24)).astype(np.uint16)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")


def test_two_at_once_are_both_in_params_yaml(here: Path) -> None:
    """Each reads params.yaml before the other has written it, as of old; now they take turns."""
    names = ["one", "two", "three"]
    children = []
    for name in names:
        good(here / name / "good")
        command = [sys.executable, "-m", "pipelines.cli.app", "init", str(here / name), "--name", name, "--page", "1"]
        children.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for child in children:
        _, said = child.communicate(timeout=120)
        assert child.returncode == 0, said
    params = read_params()
    assert set(params.data.categories) == params.sources.keys() == params.pixels.keys() == set(names)


def test_what_a_refused_init_was_told_holds_for_the_corrected_copy(here: Path) -> None:
    deep(here / "mine/a")
    (here / "mine/a/broken.png").write_bytes(b"")
    how = ReadingOptions(Sources(good=("a/**",)), pixels=PixelRule((0.0, 2500.0), 1))
    with pytest.raises(BadData, match=r"data/own/part: refused for 1 finding, .* --name part$"):
        init(here / "mine", "part", how=how)
    assert "part" not in read_params().data.categories
    (OWN / "part/train/good/broken.png").unlink()
    init(OWN / "part", "part")
    params = read_params()
    assert params.data.categories == ["part"]
    assert (params.pixels["part"].value_range, params.pixels["part"].page) == ([0.0, 2500.0], 1)
    assert params.sources["part"].good == ["a/**"]


def test_an_option_that_is_not_given_again_is_as_it_was(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    good(here / "mine/a", 10)
    good(here / "mine/b", 10)
    bad(here / "mine/c", masks="{:03}_mask.png")
    first = Sources(good=("a/**",), defects=("c/**",), masks=("*_mask.png",), ignore=("b/**",))
    init(here / "mine", "part", how=ReadingOptions(first, test_fraction=0.5, pixels=PixelRule((0.0, 300.0))))
    changed = ReadingOptions(Sources(ignore=("b/00[0-4].png",), good=("a/**", "b/**")), pixels=PixelRule(page=1))
    init(here / "mine", "part", how=changed, again=True)
    params = read_params()
    stated, pixels = params.sources["part"], params.pixels["part"]
    assert (stated.good, stated.ignore) == (["a/**", "b/**"], ["b/00[0-4].png"])
    assert (stated.defects, stated.masks, stated.test_fraction) == (["c/**"], ["*_mask.png"], 0.5)
    assert (pixels.value_range, pixels.page) == ([0.0, 300.0], 1)
    assert "options that were not given are those of params.yaml: sources.part, pixels.part" in caplog.text
    kept = sorted(path.name for path in (OWN / "part").glob("t*/good/*"))
    assert len(kept) == 15


def test_a_copy_that_would_be_refused_does_not_replace_one_that_is_whole(here: Path) -> None:
    paths = good(here / "mine/good")
    init(here / "mine", "part")
    before = {path.name: path.read_bytes() for path in OWN.glob("part/t*/good/*")}
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[:-20])
    with pytest.raises(BadData, match="the new copy is refused for 1 finding, listed above, and the earlier one stays"):
        init(here / "mine", "part", again=True)
    assert {path.name: path.read_bytes() for path in OWN.glob("part/t*/good/*")} == before
    assert [path.name for path in OWN.iterdir() if path.is_dir()] == ["part"]
    paths[3].write_bytes(whole)
    init(here / "mine", "part", again=True)


def test_what_a_person_moved_in_the_copy_does_not_come_back_unasked(here: Path) -> None:
    good(here / "mine/good", 10)
    bad(here / "mine/ng")
    init(here / "mine", "part")
    moved = next((OWN / "part/train/good").iterdir())
    moved.rename(OWN / "part/test/ng" / f"was_{moved.name}")
    write_values({"findings.missing_mask": "report"})
    with pytest.raises(BadData, match="1 doubt to be settled"):
        init(here / "mine", "part", again=True)
    assert not moved.exists()
    init(here / "mine", "part", again=True, yes=True)
    assert moved.exists()
    assert (OWN / f"part.by-hand-1/test/ng/was_{moved.name}").exists()
    init(here / "mine", "part", again=True)
