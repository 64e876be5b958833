"""A person's own folder becomes a category, whatever its layout; the originals stay as they are."""

import csv
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.decode import read_mask
from fastflow.errors import BadData
from fastflow.index import list_category
from pipelines.core.params import read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import DEMO
from pipelines.data.add_category import add_category, init
from pipelines.data.data_sets import DATA_SETS
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from pipelines.demo.generate import write_category
from tests.conftest import ROOT, as_shipped, fastflow, hashed_index, write_plates


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def by_class(folder: Path, *, good: str = "good", suffix: str = ".png", masks: str = "masks/scratch/{}.png") -> Path:
    """20 good images, 4 scratched ones; `masks` says where masks lie, "" for none."""
    plates = write_plates(folder.with_name("plates"), num_train=20, num_test=4)
    for old, new in ((plates / "train/good", folder / good), (plates / "test/square", folder / "scratch")):
        new.mkdir(parents=True)
        for path in sorted(old.iterdir()):
            Image.open(path).save(new / f"{path.stem}{suffix}")
            mask = folder / masks.format(path.stem)
            if masks and new.name == "scratch":
                mask.parent.mkdir(parents=True, exist_ok=True)
                Image.open(plates / f"ground_truth/square/{path.stem}_mask.png").convert("L").save(mask)
    return folder


def counts(folder: Path) -> dict[tuple[str, str], int]:
    index = list_category(folder)
    return dict(Counter(zip(index["split"], index["defect_type"], strict=True)))


MASKS = ["masks/scratch/{}.png", "masks/{}.png", "ground_truth/scratch/{}_mask.png", "scratch/{}_mask.png"]
MASKS += ["mask/{}.jpg", ""]


@pytest.mark.parametrize("masks", MASKS)
def test_good_and_bad_folders_with_masks_anywhere_or_nowhere(here: Path, masks: str) -> None:
    source = by_class(here / "mine", good="OK", masks=masks)
    before = {p: p.read_bytes() for p in source.rglob("*.*")}
    add_category(source, "part", root=Path("data/own"))
    assert {p: p.read_bytes() for p in source.rglob("*.*")} == before
    placed = Path("data/own/part")
    assert counts(placed) == {("train", "good"): 16, ("test", "good"): 4, ("test", "scratch"): 4}
    index = list_category(placed)
    for row in index[index["defect_type"] == "scratch"].itertuples():
        assert (row.mask_path != "") == bool(masks)
        if masks:
            stem = Path(str(row.image_path)).stem
            truth = read_mask(here / f"plates/ground_truth/square/{stem}_mask.png")
            assert np.array_equal(read_mask(placed / str(row.mask_path)), truth)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp", ".JPG"])
def test_every_allowed_format_is_copied_byte_for_byte(here: Path, suffix: str) -> None:
    source = by_class(here / "mine", suffix=suffix, masks="")
    add_category(source, "part", root=Path("data/own"))
    placed = {p.name: p.read_bytes() for p in Path("data/own/part").rglob(f"good/*{suffix}")}
    assert placed == {p.name: p.read_bytes() for p in (source / "good").iterdir()}


def test_images_alone_are_all_good(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    source = by_class(here / "mine") / "good"
    source.rename(here / "flat")
    add_category(here / "flat", "part", root=Path("data/own"), how=ReadingOptions(test_fraction=0.25))
    assert counts(Path("data/own/part")) == {("train", "good"): 15, ("test", "good"): 5}
    assert "layout flat" in caplog.text
    assert "no defect" in caplog.text
    apart = {path.name for path in Path("data/own/part/test/good").iterdir()}
    with Path(".state/init/part/files.csv").open() as file:
        assert {row["file"] for row in csv.DictReader(file) if row["goes_to"].startswith("test/")} == apart


def test_mvtec_layout_keeps_its_split(here: Path) -> None:
    source = write_plates(here / "mvtec")
    add_category(source, "part", root=Path("data/own"), how=ReadingOptions(test_fraction=0.5))
    assert hashed_index(Path("data/own/part")).equals(hashed_index(source))


def test_the_split_does_not_depend_on_names(here: Path) -> None:
    source = by_class(here / "mine", masks="")
    content = {p.read_bytes() for p in held_out(source)}
    for number, path in enumerate(sorted((source / "good").iterdir(), reverse=True)):
        path.rename(path.with_name(f"x{number}.png"))
    assert {p.read_bytes() for p in held_out(source)} == content


def held_out(source: Path) -> list[Path]:
    """Good images that are held out."""
    found = read_folder(source, DEFAULT_OPTIONS).items
    return [item.image for item in found if item.split == "test" and item.defect_type == "good"]


def test_what_cannot_be_meant_is_refused_and_leaves_nothing(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(BadData, match="empty holds no good image"):
        add_category(here / "empty", "part", root=Path("data/own"))
    source = by_class(here / "mine")
    shutil.copy(source / "masks/scratch/000.png", source / "scratch/000_mask.png")
    with pytest.raises(BadData, match="1 doubt to be settled"):
        add_category(source, "part", root=Path("data/own"))
    with pytest.raises(ValueError, match="cannot be a category's"):
        add_category(source, "../part", root=Path("data/own"))
    assert not list(Path().glob("data/own/*"))


def test_the_command_shows_what_it_found_and_names_bad_files(here: Path) -> None:
    source = by_class(here / "mine")
    (source / "good/003.png").write_bytes(b"\x89PNG not really")
    (source / "good/film.mp4").write_bytes(b"x")
    command = [sys.executable, "-m", "pipelines.cli.app", "init", str(source), "--name", "part"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert "layout by class" in done.stderr
    assert "defect scratch 4 4 64x64 scratch/000.png" in " ".join(done.stderr.split())
    assert "left out: other files 1 good/film.mp4" in " ".join(done.stderr.split())
    assert "003.png" in done.stderr
    assert "[unreadable]" in done.stderr
    assert "Traceback" not in done.stderr
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "exists; to check it again" in again.stderr


@as_shipped
def test_the_command_has_params_yaml_name_the_category_and_keeps_its_comments(here: Path) -> None:
    before = (here / "params.yaml").read_text()
    source = by_class(here / "mine")
    for name in ("part", "other"):
        init(source, name, weights="random")
    params = read_params()
    assert (params.data.root, params.data.categories) == ("data/own", ["part", "other"])
    assert params.model.weights == "random"
    assert read_params().sources.keys() == {"part", "other"}
    assert params.demo.categories == []  # a clone's dvc pull would miss them, a plain dvc repro draw them
    write_values({"sources": {}})
    after = (here / "params.yaml").read_text()
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert len(changed) == 4  # root, categories, weights, and no demo
    assert all(a.partition("#")[2] == b.partition("#")[2] for a, b in changed)
    assert all(a.index("#") == b.index("#") for a, b in changed if "#" in a)


@as_shipped
def test_lists_that_dvc_has_written_line_by_line_are_replaced(here: Path) -> None:
    """As `dvc exp run -S` leaves params.yaml."""
    file = here / "params.yaml"
    text = file.read_text().replace("  categories: [weave, label, gear]", "  categories:\n  - weave\n  - gear", 1)
    file.write_text(text.replace("  overrides: {}", "  overrides:\n    layers:\n    - 1\n    - 2"))
    assert read_params().data.categories == ["weave", "gear"]
    init(by_class(here / "mine"), "part")
    assert read_params().data.categories == ["part"]
    assert read_params().model.overrides == {"layers": [1, 2]}
    assert "  - " not in file.read_text().partition("download:")[0]


@as_shipped
def test_a_public_data_set_is_named_and_your_own_images_come_back(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    init(by_class(here / "mine"), "part", weights="random")
    caplog.clear()
    init(Path("mvtec_ad"), "bottle")
    back = caplog.text.partition("(back: fastflow init ")[2].partition(")")[0].split()
    init(Path("mvtec_ad"), "cable")
    params = read_params()
    assert (params.data.root, params.data.categories) == ("data/mvtec_ad", ["bottle", "cable"])
    assert (params.download.source, params.download.categories) == ("mvtec_ad", ["bottle", "cable"])
    assert params.model.weights == "random"  # as it was
    init(Path("visa"), "all")
    params = read_params()
    assert params.data.root == "data/visa"
    assert params.data.categories == params.download.categories == list(DATA_SETS["visa"].counts)
    with pytest.raises(ValueError, match=r"no category 'botle' in MVTec AD, .*did you mean 'bottle'"):
        init(Path("mvtec_ad"), "botle")
    assert read_params() == params
    with pytest.raises(BadData, match="folder mvtecad does not exist; did you mean the data set mvtec_ad"):
        init(Path("mvtecad"), "bottle")
    assert fastflow("init", *back) == 0
    assert (read_params().data.root, read_params().data.categories) == ("data/own", ["part"])
    assert read_params().download.categories == []  # a plain dvc repro would fetch them
    assert read_params().model.weights == "random"
    assert read_params().sources.keys() == {"part"}


def test_commands_to_paste_are_quoted(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A shell would take ` #2/part` for a comment, and have all of data/own tracked."""
    caplog.set_level("INFO")
    init(by_class(here / "mine"), "part", root=Path("data/own #2"), weights="random")
    assert "dvc add 'data/own #2/part'" in caplog.text
    with pytest.raises(ValueError, match="fastflow init 'data/own #2/part' --name part"):
        init(here / "mine", "part", root=Path("data/own #2"))


def test_the_demo_comes_back_with_its_drawings(here: Path) -> None:
    init(by_class(here / "mine"), "part", weights="random")
    write_category("weave", DEMO, seed=0, image_size=64, num_train=3, num_good=2, num_per_defect=1)
    assert fastflow("init", "data/demo/weave", "--name", "weave", "--root", "data/demo") == 0
    assert (read_params().data.root, read_params().demo.categories) == ("data/demo", ["weave"])


def test_what_was_refused_and_cured_is_taken_into_use_by_the_command_that_was_reported(here: Path) -> None:
    source = by_class(here / "mine")
    (source / "good/003.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(
        BadData,
        match=r"refused for 1 finding, listed above; correct it there: fastflow init data/own/part --name part$",
    ) as raised:
        init(source, "part")
    assert read_params().data.categories != ["part"]
    for bad in Path("data/own/part").rglob("003.png"):
        if bad.read_bytes().startswith(b"\x89PNG not"):
            bad.unlink()
    assert fastflow("init", *str(raised.value).partition("fastflow init ")[2].split()) == 0
    assert (read_params().data.root, read_params().data.categories[-1]) == ("data/own", "part")


@as_shipped
def test_weights_that_are_not_named_stay_those_of_the_other_categories(here: Path) -> None:
    source = by_class(here / "mine")
    for name, given, expected in (
        ("part", None, "imagenet"), ("other", "random", "random"), ("third", None, "random"),
    ):  # fmt: skip
        init(source, name, root=Path("data/lines"), weights=given)
        assert read_params().model.weights == expected
