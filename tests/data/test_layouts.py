"""The command's way with a person's folder: shown first, asked where in doubt, copied whole, kept in params.yaml."""

import csv
import html
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from fastflow.arrange import copy
from fastflow.decode import read_mask
from fastflow.errors import BadData
from fastflow.marks import MaskRule
from fastflow.sources import Sources
from pipelines.core.params import read_params
from pipelines.data import own_folder as command
from pipelines.data.add_category import add_category, init
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.conftest import fastflow, read_until
from tests.data.folders import bad, good, photograph, save, truth
from tests.data.test_add_category import counts, here

__all__ = ["here"]  # the fixture
NEAREST = Image.Resampling.NEAREST
OWN = Path("data/own")
LINKS = {"bad": "../elsewhere", "loop": "..", "good/p.png": "/etc/hostname", "good/self.png": "self.png"}


@pytest.mark.parametrize("name", LINKS)
def test_links_are_refused_and_each_is_named(here: Path, name: str) -> None:
    good(here / "mine/good")
    good(here / "elsewhere")
    (here / "mine" / name).symlink_to(LINKS[name])
    (here / "mine/gone.png").symlink_to("nowhere.png")
    with pytest.raises(BadData, match="holds 2 links, which are not followed") as raised:
        add_category(here / "mine", "part", root=OWN)
    assert f"mine/{name} -> {LINKS[name]}" in str(raised.value)
    assert "mine/gone.png -> nowhere.png" in str(raised.value)
    assert not Path("data").exists()


def test_images_alike_are_renamed_and_none_is_ever_written_over(tmp_path: Path) -> None:
    good(tmp_path / "mine/good")
    reading = read_folder(tmp_path / "mine", ReadingOptions(test_fraction=0))
    (tmp_path / "made/train/good").mkdir(parents=True)
    (tmp_path / "made/train/good/000.png").write_bytes(b"another")
    with pytest.raises(FileExistsError, match=r"000\.png"):
        copy(reading.items, tmp_path / "made", rule=MaskRule(), on_image=lambda: None)
    assert (tmp_path / "made/train/good/000.png").read_bytes() == b"another"
    save(photograph("more"), tmp_path / "mine/good/000.PNG")
    items = read_folder(tmp_path / "mine", ReadingOptions(test_fraction=0)).items
    assert len({item.target.casefold() for item in items}) == len(items) == 7


def test_masks_are_copied_as_they_mark_at_the_size_of_their_image(here: Path) -> None:
    good(here / "mine/good")
    bad(here / "mine/bad", masks="../masks/{:03}.png", change=lambda mask: mask.resize((48, 48), NEAREST))
    add_category(here / "mine", "part", root=OWN)
    for number in range(3):
        with Image.open(f"data/own/part/ground_truth/bad/{number:03}_mask.png") as copied:
            assert (copied.mode, copied.size) == ("L", (24, 24))
        assert (read_mask(OWN / f"part/ground_truth/bad/{number:03}_mask.png") == truth(f"{number:03}")).all()


def doubtful(folder: Path) -> Path:
    good(folder / "good", 5)
    good(folder / "good_2024", 2)
    bad(folder / "ng", 1)
    return folder


def test_a_doubt_ends_with_code_3_where_nobody_can_be_asked(here: Path) -> None:
    words = [sys.executable, "-m", "pipelines.cli.app", "init", str(doubtful(here / "mine")), "--name", "part"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 3
    assert "TO BE SETTLED:\n  1. more than one folder could be the good one" in done.stderr
    assert "--good 'good/**' --good 'good_2024/**' or --defects 'good_2024/**'" in done.stderr
    assert "1 doubt to be settled, listed above, and nothing was copied" in done.stderr
    assert not Path("data").exists()
    assert Path(".state/init/part/contact_sheet.html").is_file()
    done = subprocess.run([*words, "--yes", "--weights", "random"], capture_output=True, text=True)
    assert done.returncode == 0
    assert sum(counts(OWN / "part").values()) == 8


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 3), ("", 3)])
def test_a_person_at_the_terminal_is_asked(here: Path, answer: str, code: int) -> None:
    doubtful(here / "mine")
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "pipelines.cli.app", "init", "mine", "--name", "part", "--weights", "random"]
    process = subprocess.Popen(words, stdin=theirs, stderr=theirs, stdout=theirs)
    os.close(theirs)
    message = read_until(ours, b"[y/N]")
    os.write(ours, answer.encode() + b"\n")
    with suppress(OSError):  # the other end is closed: Linux's end of a terminal
        while select.select([ours], [], [], 60)[0]:
            message += os.read(ours, 4096)
    process.wait(60)
    assert process.returncode == code, message.decode()
    assert (OWN / "part").is_dir() == (code == 0)


def test_the_table_counts_and_the_list_has_every_file(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    good(here / "mine/good", 10)
    bad(here / "mine/scratch", masks="{:03}_gt.png")
    (here / "mine/notes.txt").write_text("x")
    (here / "mine/good/Thumbs.db").write_bytes(b"x")
    add_category(here / "mine", "part", root=OWN)
    rows = [" ".join(line.split()) for line in caplog.text.splitlines()]
    assert "good, to train on 8 24x24" in " ".join(rows)
    assert "good, set apart for the test 2 24x24" in " ".join(rows)
    assert "defect scratch 3 3 24x24 scratch/000.png, scratch/001.png, scratch/002.png" in rows
    assert "left out: other files 1 notes.txt" in rows
    assert "left out: hidden, or left by a system 1 good/Thumbs.db" in rows
    with Path(".state/init/part/files.csv").open() as file:
        listed = {row["file"]: row for row in csv.DictReader(file)}
    assert set(listed) | {f"scratch/{n:03}_gt.png" for n in range(3)} == {
        path.relative_to(here / "mine").as_posix() for path in (here / "mine").rglob("*.*")
    }
    assert listed["scratch/001.png"]["masks"] == "scratch/001_gt.png"
    assert listed["scratch/001.png"]["goes_to"] == "test/scratch/001.png"
    assert all((OWN / "part" / row["goes_to"]).is_file() for row in listed.values() if row["goes_to"])


def test_the_contact_sheet_shows_each_class_with_its_masks(here: Path) -> None:
    good(here / "mine/good", 10)
    bad(here / "mine/<b>x", masks="../masks/{:03}.png")
    add_category(here / "mine", "part", root=OWN)
    page = Path(".state/init/part/contact_sheet.html").read_text()
    assert page.count("<section") == 3
    assert page.count("data:image/jpeg;base64,") == 6 + 2 + 3 * 2  # six of eight, those set apart, defects twice
    assert "<b>x" not in page
    assert html.escape("<b>x") in page
    assert page.count("% marked") == 3


def test_a_reading_is_kept_and_used_again(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    doubtful(here / "mine")
    how = ReadingOptions(Sources(defects=("good_2024/**",)), MaskRule(values=("1", "#ff0000"), ignore="255"), 0.4)
    init(here / "mine", "4711", how=how, weights="random")
    kept = read_params().sources["4711"]
    assert kept.model_dump(exclude_defaults=True) == {
        "folder": "mine", "defects": ["good_2024/**"], "mask_values": ["1", "#ff0000"], "ignore_value": "255",
        "test_fraction": 0.4,
    }  # fmt: skip
    before = counts(OWN / "4711")
    assert before == {("train", "good"): 3, ("test", "good"): 2, ("test", "defect"): 2, ("test", "ng"): 1}
    bad(here / "mine/ng", 2)
    with pytest.raises(ValueError, match=r"4711 exists; .*--again"):
        init(here / "mine", "4711")
    caplog.clear()
    init(here / "mine", "4711", again=True)
    assert "options that were not given are those of params.yaml: sources.4711" in caplog.text
    assert counts(OWN / "4711") == before | {("test", "ng"): 2}
    shutil.rmtree(OWN / "4711")
    init(here / "mine", "4711")
    assert counts(OWN / "4711") == before | {("test", "ng"): 2}
    assert not list(OWN.glob(".*.old"))


def test_options_of_the_command_say_what_is_what(here: Path) -> None:
    good(here / "mine/a b", 5)
    good(here / "mine/held", 2)
    bad(here / "mine/x", masks="{:03}#1.png")
    save(photograph("no"), here / "mine/junk/what?.png")
    words = ["--good", "a b/**", "--test-good", "held", "--defects", "x/*", "--masks", "*#1.png", "--ignore", "junk"]
    assert fastflow("init", "mine", "--name", "part", "--weights", "random", *words) == 0
    found = {("train", "good"): 5, ("test", "good"): 2, ("test", "x"): 3}
    assert counts(OWN / "part") == found
    assert len(list((OWN / "part/ground_truth/x").iterdir())) == 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (ReadingOptions(Sources(good=("god/**",))), "--good 'god/\\*\\*' names none of the 8 files"),
        (ReadingOptions(Sources(good=("good",), defects=("*",))), "named by --good and by --defects"),
        (ReadingOptions(rule=MaskRule(values=("red",))), "'red' is neither a number from 0 to 65535 nor a colour"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(here: Path, how: ReadingOptions, message: str) -> None:
    doubtful(here / "mine")
    with pytest.raises(ValueError, match=message):
        add_category(here / "mine", "part", root=OWN, how=how)
    assert not Path("data").exists()


def test_a_folder_that_holds_no_good_image_says_what_is_there(here: Path) -> None:
    for kind in ("cat", "dog"):
        bad(here / "mine" / kind)
    with pytest.raises(
        BadData,
        match=r"holds no good image; .*it has cat/, dog/, 6 images; .*--good 'cat/\*\*' or --good 'dog/\*\*', or all",
    ):
        read_folder(here / "mine", DEFAULT_OPTIONS)
    (here / "photos.zip").write_bytes(b"PK")
    with pytest.raises(BadData, match=r"photos\.zip is a file; if it is an archive, unpack it"):
        read_folder(here / "photos.zip", DEFAULT_OPTIONS)


def test_two_calls_with_one_name_make_one_whole_category(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second starts while the first copies; it waits, and finds the name taken."""
    for number in (0, 1):
        good(here / f"mine{number}", count=5 + number)
    reading, writing = os.pipe()

    def slow_copy(items: Sequence[object], folder: Path, **options: object) -> dict[str, str]:
        os.write(writing, b".")
        time.sleep(0.5)
        return copy(items, folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "copy", slow_copy)
    children = []
    for number in (0, 1):
        child = os.fork()
        if not child:
            code = 1
            try:
                add_category(here / f"mine{number}", "part", root=OWN, how=ReadingOptions(test_fraction=0))
                code = 0
            except ValueError as error:
                code = 2 if "exists; to check it again" in str(error) else 3
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0, 2]
    assert os.read(reading, 9) == b"."
    assert counts(OWN / "part") == {("train", "good"): 5 + codes.index(0)}
    assert not list(OWN.glob(".*.part"))
