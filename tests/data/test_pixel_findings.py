"""A category whose pixels are not what their files say: what is found, and what a person's word changes."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import AS_MEANT
from fastflow.pixels.meaning import PixelRule
from pipelines.core.params import read_params
from pipelines.data.checks.pictures import inspect_image
from pipelines.data.checks.policy import check_and_decide
from tests.conftest import fastflow, write_plates
from tests.data.faults import POLICY
from tests.data.test_add_category import here as here  # the fixture

Pixels = NDArray[np.uint8]


def as_twelve(grey: Pixels) -> Image.Image:
    return Image.fromarray(np.rint(grey / 255 * 4095).astype(np.uint16))


def as_floats(grey: Pixels) -> Image.Image:
    return Image.fromarray(grey.astype(np.float32))


def rewritten(folder: Path, made: Callable[[Pixels], Image.Image]) -> Path:
    """Each image of a category as grey, made over by `made`, in a TIFF."""
    for path in [*folder.glob("train/*/*.png"), *folder.glob("test/*/*.png")]:
        made(np.asarray(Image.open(path).convert("L"))).save(path.with_suffix(".tif"))
        path.unlink()
    return folder


def findings(folder: Path, rule: PixelRule = AS_MEANT) -> dict[tuple[str, str], str]:
    decided = check_and_decide(folder, POLICY, rule).decided
    return {(one.kind, one.path): str(one) for several in decided.values() for one in several}


def test_twelve_bits_are_one_finding_and_all_that_is_compared_is_as_of_eight(many: Path, tmp_path: Path) -> None:
    eight = rewritten(write_plates(tmp_path / "eight", num_train=12, num_test=12), Image.fromarray)
    twelve = rewritten(many, as_twelve)
    ((finding, text),) = findings(twelve).items()
    assert finding == ("bit_depth", "train/good/000.tif")
    assert "36 files of 16 bits, as this one, hold 12: 4095 is white in all; to state another range: --value" in text
    assert findings(eight) == {}
    rule = check_and_decide(twelve, POLICY).rule
    assert rule.value_range == (0, 4095)
    assert findings(twelve, rule) == {}  # a person has said it
    for folder in (eight, twelve):  # a picture nearly one of the training's is found in both
        Image.open(folder / "train/good/003.tif").save(folder / "test/good/near.png")
        assert ("near_identical", "train/good/003.tif") in findings(folder)
    for path in sorted(twelve.rglob("good/*.tif"))[:3]:
        name = path.relative_to(twelve).as_posix()
        one, other = inspect_image(twelve, name, "", rule).thumbnail, inspect_image(eight, name, "").thumbnail
        assert one is not None
        assert other is not None
        assert np.abs(one - other).max() <= 1


def test_the_training_images_alone_decide_and_what_goes_beyond_them_is_told(many: Path) -> None:
    rewritten(many, as_twelve)
    bright = np.asarray(Image.open(many / "test/good/002.tif")) * 3
    Image.fromarray(bright).save(many / "test/good/002.tif")
    assert check_and_decide(many, POLICY).rule.value_range == (0, 4095)
    text = findings(many)["out_of_range", "test/good/002.tif"]
    assert f"to {bright.max()}, black and white are 0 and 4095; what is beyond" in text


def test_one_image_of_other_bits_is_told_to_be_nearly_black(many: Path) -> None:
    rewritten(many, lambda grey: Image.fromarray(grey.astype(np.uint16) * 257))
    assert findings(many) == {}
    grey = np.asarray(Image.open(many / "test/good/005.tif"))
    Image.fromarray(grey // 16).save(many / "test/good/005.tif")
    found = findings(many)
    assert set(found) == {("bit_depth", "test/good/005.tif")}
    assert "where 65535 is white: it is nearly black" in found["bit_depth", "test/good/005.tif"]


def test_a_float_folder_is_refused_with_the_option_that_cures_it(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = rewritten(write_plates(here / "heights", num_train=6), as_floats)
    assert fastflow("init", source, "--name", "heights") == 3
    assert fastflow("init", "data/own/heights", "--name", "heights", "--value-range", "255", "0") == 2
    assert "allowed: black, then a higher white" in capfd.readouterr().err
    assert fastflow("init", "data/own/heights", "--name", "heights", "--value-range", "0", "255") == 0
    pixels = read_params().pixels["heights"]
    assert (pixels.value_range, pixels.page) == ([0, 255], None)
    capfd.readouterr()
    assert fastflow("validate", "heights") == 0
    assert "findings: refuse 0, quarantine 0, report 0" in capfd.readouterr().out
    kept = json.loads(Path(".state/init/heights/findings.json").read_text())
    assert kept == []


def test_pages_are_refused_until_one_is_named_and_it_is_remembered(here: Path) -> None:
    source = rewritten(write_plates(here / "scans", num_train=6), Image.fromarray)
    for path in source.rglob("*.tif"):
        image = Image.open(path).copy()
        image.resize((16, 12)).save(path, save_all=True, append_images=[image])
    assert fastflow("init", source, "--name", "scans") == 3
    assert fastflow("init", source, "--name", "scans", "--again", "--page", 2) == 0
    assert read_params().pixels["scans"].page == 2
    assert fastflow("init", source, "--name", "scans", "--again") == 0  # as it was said before
    assert fastflow("validate", "scans") == 0
    assert not json.loads(Path(".state/init/scans/findings.json").read_text())


def test_a_contact_sheet_of_twelve_bits_is_not_black(here: Path) -> None:
    source = rewritten(write_plates(here / "dark", num_train=6), as_twelve)
    assert fastflow("init", source, "--name", "dark", "--yes") == 0
    page = Path(".state/init/dark/contact_sheet.html").read_text()
    cards = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    assert cards
    assert all(np.asarray(Image.open(io.BytesIO(base64.b64decode(card)))).max() > 100 for card in cards)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000)])
def test_images_of_any_shape_are_taken(here: Path, shape: tuple[int, int]) -> None:
    (here / "odd").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(here / f"odd/{number}.png")
    assert fastflow("init", "odd", "--name", "odd") == 0


def test_more_pixels_than_are_read_are_named_and_nothing_crashes(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_plates(here / "line", num_train=6)
    Image.new("1", (12_000, 9_000)).save(source / "train/good/big.png")
    Image.new("1", (20_000, 20_000)).save(source / "train/good/bomb.png")
    assert fastflow("init", source, "--name", "line") == 3
    rows = {row["path"]: row for row in json.loads(Path(".state/init/line/findings.json").read_text())}
    messages = {path.rpartition("/")[2]: row["message"] for path, row in rows.items() if row["kind"] == "unreadable"}
    size = {"big.png": "12000x9000 pixels", "bomb.png": "too many pixels"}
    assert messages == {name: f"{text}, more than 100,000,000 allowed" for name, text in size.items()}
    assert all(row["remedy"] == "save it smaller, or in parts" for row in rows.values())
    shown = capfd.readouterr()
    assert "Warning" not in shown.out + shown.err


def test_unset_alpha_is_told_of_each_image_and_nothing_else_is_found(many: Path) -> None:
    for path in many.glob("t*/*/*.png"):
        image = Image.open(path).convert("RGB")
        image.putalpha(0)
        image.save(path)
    found = findings(many)
    assert {kind for kind, _ in found} == {"unset_alpha"}
    assert len(found) == 36
